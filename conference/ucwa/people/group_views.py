"""myGroups: the groups of the user's contact list, and who is in which."""

from __future__ import annotations

from collections.abc import Sequence

from conference.domain.directory import DEFAULT_GROUP, rel_of
from conference.ucwa.engine import etags
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.inputs import wrong
from conference.ucwa.engine.resource import Link, Resource, Value
from conference.ucwa.people import hrefs as hrefs
from conference.ucwa.people.contact_service import ContactService
from conference.ucwa.people.contact_store import Group, Membership
from conference.ucwa.people.contact_views import ANY, EXPAND, SCOPES, ContactViews
from conference.ucwa.people.path import expanded, pair_of, uri_in

_LONGEST = 256
_ONE = f"{hrefs.GROUPS}/{{groupId}}"


class GroupViews:
    def __init__(self, service: ContactService, contacts: ContactViews) -> None:
        self._service = service
        self._contacts = contacts

    async def all(self, call: Call) -> Reply:
        groups = await self._service.groups(call.app.user_id)
        common: dict[str, Group] = {rel_of(each.id): each for each in groups if not each.personal}
        personal = [each for each in groups if each.personal]
        links: dict[str, Link | Sequence[Link]] = {
            "group": [Link(hrefs.group(each.id), title=each.name) for each in personal],
            **{rel: Link(hrefs.group(each.id)) for rel, each in common.items()},
        }
        embedded: dict[str, Resource | Sequence[Resource]] = {}
        if expanded(call):
            embedded = {
                "group": [group(each) for each in personal],
                **{rel: group(each) for rel, each in common.items()},
            }
        return Reply(
            resource=Resource(rel="myGroups", href=hrefs.GROUPS, links=links, embedded=embedded)
        )

    async def create(self, call: Call) -> Reply:
        name = _named(call, "displayName")
        created = await self._service.create_group(call.app.user_id, name)
        return Reply(status=204, location=hrefs.group(created.id))

    async def get(self, call: Call) -> Reply:
        return _reply(await self._service.group(call.app.user_id, call.params["groupId"]))

    async def rename(self, call: Call) -> Reply:
        return _reply(
            await self._service.rename_group(
                call.app.user_id,
                call.params["groupId"],
                _named(call, "name"),
                lambda before: call.require_match(etags.of(group(before))),
            )
        )

    async def delete(self, call: Call) -> Reply:
        await self._service.delete_group(
            call.app.user_id,
            call.params["groupId"],
            lambda before: call.require_match(etags.of(group(before))),
        )
        return Reply(status=204)

    async def contacts(self, call: Call) -> Reply:
        group_id = call.params["groupId"]
        addresses = await self._service.addresses(call.app.user_id, group_id)
        href = f"{hrefs.group(group_id)}/contacts"
        return Reply(resource=await self._contacts.listed("groupContacts", href, addresses, call))


class GroupMembershipViews:
    def __init__(self, service: ContactService) -> None:
        self._service = service

    async def all(self, call: Call) -> Reply:
        group_id = call.query.text("groupId", _LONGEST) or None
        found = await self._service.memberships(call.app.user_id, group_id)
        return Reply(
            resource=Resource(
                rel="myGroupMemberships",
                href=hrefs.GROUP_MEMBERSHIPS,
                links={"removeContactFromAllGroups": Link(hrefs.REMOVE_CONTACT)},
                embedded={"myGroupMembership": [membership(each) for each in found]},
            )
        )

    async def add(self, call: Call) -> Reply:
        address = uri_in(call.inputs, "contactUri")
        group_id = call.inputs.text("groupId", _LONGEST) or DEFAULT_GROUP
        added = membership(await self._service.add(call.app.user_id, address, group_id))
        return Reply(status=201, resource=added, location=added.href)

    async def one(self, call: Call) -> Reply:
        return Reply(
            resource=membership(await self._service.membership(call.app.user_id, *pair_of(call)))
        )

    async def remove(self, call: Call) -> Reply:
        await self._service.remove_membership(call.app.user_id, *pair_of(call))
        return Reply(status=204)

    async def remove_contact(self, call: Call) -> Reply:
        await self._service.remove(call.app.user_id, uri_in(call.inputs, "contactUri"))
        return Reply(status=204)


def endpoints(views: GroupViews, memberships: GroupMembershipViews) -> list[Endpoint]:
    return [*_groups(views), *_memberships(memberships)]


def group(given: Group) -> Resource:
    """With what a PUT needs where one may be made."""
    href = hrefs.group(given.id)
    properties: dict[str, Value] = {"id": given.id, "name": given.name}
    if given.personal:
        properties.update(etags.put_token("group", given.id))
    found = Resource(
        rel=rel_of(given.id),
        href=href,
        properties=properties,
        links={
            "groupContacts": Link(f"{href}/contacts"),
            "subscribeToGroupPresence": Link(f"{href}/subscribeToGroupPresence"),
        },
    )
    return etags.tagged(found) if given.personal else found


def membership(given: Membership) -> Resource:
    return Resource(
        rel="myGroupMembership",
        href=hrefs.group_membership(given.group_id, given.address),
        links={
            "contact": Link(hrefs.contact(given.address)),
            rel_of(given.group_id): Link(hrefs.group(given.group_id)),
        },
    )


def _reply(given: Group) -> Reply:
    shown = group(given)
    return Reply(resource=shown, etag=etags.of(shown))


def _named(call: Call, name: str) -> str:
    found = call.inputs.required(name, _LONGEST).strip()
    if not found:
        raise wrong(name, "is required")
    return found


def _groups(views: GroupViews) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path=hrefs.GROUPS,
            view=views.all,
            rel="myGroups",
            summary="The user's groups",
            scopes=SCOPES,
            anonymous=False,
            revision=2,
            query=EXPAND,
        ),
        Endpoint(
            method="POST",
            path=hrefs.GROUPS,
            view=views.create,
            rel="myGroups",
            summary="Create a group; Location says where it is",
            scopes=SCOPES,
            anonymous=False,
            revision=2,
            returns=204,
            inputs={"displayName": f"required: at most {_LONGEST} characters"},
        ),
        Endpoint(
            method="GET",
            path=_ONE,
            view=views.get,
            rel="group",
            summary="A group of the user's",
            scopes=SCOPES,
            anonymous=False,
            revision=2,
        ),
        Endpoint(
            method="PUT",
            path=_ONE,
            view=views.rename,
            rel="group",
            summary="Rename a group",
            scopes=SCOPES,
            anonymous=False,
            revision=2,
            inputs={
                "name": f"required: at most {_LONGEST} characters",
                "id": "read, and not changed",
            },
        ),
        Endpoint(
            method="DELETE",
            path=_ONE,
            view=views.delete,
            rel="group",
            summary="Delete a group; its contacts stay",
            scopes=SCOPES,
            anonymous=False,
            revision=2,
            returns=204,
        ),
        Endpoint(
            method="GET",
            path=f"{_ONE}/contacts",
            view=views.contacts,
            rel="groupContacts",
            summary="The contacts in a group",
            scopes=SCOPES,
            anonymous=False,
            query=EXPAND,
        ),
    ]


def _memberships(views: GroupMembershipViews) -> list[Endpoint]:
    one = f"{hrefs.GROUP_MEMBERSHIPS}/{{membershipId}}"
    return [
        Endpoint(
            method="GET",
            path=hrefs.GROUP_MEMBERSHIPS,
            view=views.all,
            rel="myGroupMemberships",
            summary="Who is in which group",
            scopes=ANY,
            anonymous=False,
            revision=2,
            query={"groupId": "only of this group"},
        ),
        Endpoint(
            method="POST",
            path=hrefs.GROUP_MEMBERSHIPS,
            view=views.add,
            rel="myGroupMemberships",
            summary="Put a contact into a group",
            scopes=SCOPES,
            anonymous=False,
            revision=2,
            returns=201,
            inputs={
                "contactUri": "required: a SIP URI",
                "groupId": "of the group; else the default one",
            },
        ),
        Endpoint(
            method="POST",
            path=hrefs.REMOVE_CONTACT,
            view=views.remove_contact,
            rel="removeContactFromAllGroups",
            summary="Remove a contact from all groups",
            scopes=SCOPES,
            anonymous=False,
            returns=204,
            inputs={"contactUri": "required: a SIP URI"},
        ),
        Endpoint(
            method="GET",
            path=one,
            view=views.one,
            rel="myGroupMembership",
            summary="A contact's being in a group",
            scopes=SCOPES,
            anonymous=False,
            revision=2,
        ),
        Endpoint(
            method="DELETE",
            path=one,
            view=views.remove,
            rel="myGroupMembership",
            summary="Take a contact out of a group",
            scopes=SCOPES,
            anonymous=False,
            revision=2,
            returns=204,
        ),
    ]
