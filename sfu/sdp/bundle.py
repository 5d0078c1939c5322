"""Which m-lines of a description one transport can carry: those of a BUNDLE group, or a single one. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sfu.sdp.remote import RemoteDescription, RemoteMedia, RemoteTransport

Wanted = Callable[[RemoteMedia], bool]

_FAULTS_TOLD = 4
"""More would not help."""


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """The m-lines that share a transport, in the description's order; any other has to be refused."""

    media: tuple[RemoteMedia, ...]
    transport: RemoteTransport
    group: tuple[str, ...]
    """Their mids, the tagged one first (RFC 9143 section 7.3); empty when the client offered no group."""
    reduced_size: bool
    """RTCP may go without a report in front (RFC 5506)."""


def carried(remote: RemoteDescription, wanted: Wanted, first: Wanted) -> Carried | None:
    """The wanted m-lines that share a transport; None when no m-line is wanted.

    A wanted one that is also `first` decides which transport that is, if there is one that can be used. Raises
    ValueError that says of the wanted m-lines why none can be carried.
    """
    candidates = {media.place: media for media in remote.media if media.usable and wanted(media)}
    if not candidates:
        return None
    by_mid = {media.mid: media for media in remote.media if media.mid}
    groups = {mid: group for group in remote.bundles for mid in group}
    faults: dict[tuple[str, ...], str] = {}
    for media in sorted(candidates.values(), key=lambda candidate: not first(candidate)):
        group = groups.get(media.mid, ())
        if group and group in faults:
            continue
        sharing = [by_mid[mid] for mid in group] if group else [media]
        found = _carried([m for m in sharing if m.place in candidates], sharing, group)
        if isinstance(found, Carried):
            return found
        faults[group or (f"m-line {media.place}",)] = f"m-line {media.place}: {found}"
    raise ValueError("; ".join(list(faults.values())[:_FAULTS_TOLD]))


def _carried(
    taken: list[RemoteMedia], sharing: list[RemoteMedia], group: tuple[str, ...]
) -> Carried | str:
    """With the transport of the first m-line of the group that has one; or why there is none."""
    # One that we refuse tags the group only when none that we take does: bundle-only ones have no transport.
    tagged = next((media for media in (*taken, *sharing) if _is_complete(media)), None)
    if tagged is None or isinstance(tagged.transport, str):
        return _lacking(taken[0])
    mids = [media.mid for media in taken]
    if tagged.mid in mids:
        mids.remove(tagged.mid)
        mids.insert(0, tagged.mid)
    return Carried(
        media=tuple(sorted(taken, key=lambda media: media.place)),
        transport=tagged.transport,
        group=tuple(mids) if group else (),
        reduced_size=all(m.reduced_size for m in (tagged, *taken) if m.mux),
    )


def _is_complete(media: RemoteMedia) -> bool:
    return not media.rejected and media.mux and not isinstance(media.transport, str)


def _lacking(media: RemoteMedia) -> str:
    return media.transport if isinstance(media.transport, str) else "a=rtcp-mux missing"
