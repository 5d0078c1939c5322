"""The packet path in native code (`path.pyx`, and `core.c` behind `core.h`), built by the ordinary installation.

It is optional: without a C compiler the installation succeeds without it, importing `sfu.native.path` raises
ImportError, and the pure path (`sfu/path/python/path.py`) runs. `sfu.path.choice` decides which one.
"""
