"""core_test.h, as path.pyx calls it."""

from libc.stdint cimport int64_t

from sfu.native.core cimport Path


cdef extern from "core_test.h" nogil:
    void path_limit_sends(Path*, int room)
    void path_use_segmentation(Path*, bint use)
    void path_seal_narrowly(Path*)
    int64_t forward_bound_of(int64_t us)
