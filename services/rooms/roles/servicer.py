"""Protos of roles to the domain and back, and nothing else."""

from chatkit.rooms.v1 import role_pb2
from chatkit.rooms.v1 import roles_service_pb2 as pb2

from services.rooms.model import AssignedRole, Role, RoleScope
from services.rooms.roles.service import Roles
from services.runtime.calls.call import Call
from services.runtime.calls.paging import PageTokens, page_size
from services.runtime.contract.policies import Limits
from services.runtime.ids import RoomId, UserId


class RolesServicer:
    """chatkit.rooms.v1.RolesService."""

    SERVICE = pb2.DESCRIPTOR.services_by_name["RolesService"]

    def __init__(self, roles: Roles, page_tokens: PageTokens, limits: Limits) -> None:
        self._roles = roles
        self._page_tokens = page_tokens
        self._limits = limits

    async def CreateRole(self, request: pb2.CreateRoleRequest, _call: Call) -> pb2.CreateRoleResponse:
        """Create a role."""
        role = await self._roles.create(RoleScope(request.scope), request.name, request.permissions)
        return pb2.CreateRoleResponse(role=_role(role))

    async def GetRole(self, request: pb2.GetRoleRequest, _call: Call) -> pb2.GetRoleResponse:
        """Read a role."""
        return pb2.GetRoleResponse(role=_role(await self._roles.get(RoleScope(request.scope), request.name)))

    async def ListRoles(self, request: pb2.ListRolesRequest, call: Call) -> pb2.ListRolesResponse:
        """Read a page of roles."""
        key = self._page_tokens.read(call.caller, request)
        size = page_size(request, self._limits)
        scope = RoleScope(request.scope) if request.scope else None
        roles = await self._roles.page(scope, (int(key[0]), str(key[1])) if key else (0, ""), size + 1)
        response = pb2.ListRolesResponse(roles=[_role(role) for role in roles[:size]])
        if len(roles) > size:
            last = roles[size - 1]
            response.next_page_token = self._page_tokens.make(call.caller, request, [int(last.scope), last.name])
        return response

    async def UpdateRole(self, request: pb2.UpdateRoleRequest, _call: Call) -> pb2.UpdateRoleResponse:
        """Change what a role grants."""
        role = await self._roles.update(
            RoleScope(request.scope), request.name, request.add_permissions, request.remove_permissions
        )
        return pb2.UpdateRoleResponse(role=_role(role))

    async def DeleteRole(self, request: pb2.DeleteRoleRequest, _call: Call) -> pb2.DeleteRoleResponse:
        """Delete a role."""
        await self._roles.delete(RoleScope(request.scope), request.name)
        return pb2.DeleteRoleResponse()

    async def AssignRole(self, request: pb2.AssignRoleRequest, call: Call) -> pb2.AssignRoleResponse:
        """Give a user a role."""
        assigned = await self._roles.assign(
            UserId(request.user_id), request.role_name, RoomId(request.room_id), call.deadline
        )
        return pb2.AssignRoleResponse(assigned_role=_assigned(assigned))

    async def UnassignRole(self, request: pb2.UnassignRoleRequest, _call: Call) -> pb2.UnassignRoleResponse:
        """Take a user's role away."""
        await self._roles.unassign(UserId(request.user_id), RoomId(request.room_id))
        return pb2.UnassignRoleResponse()

    async def ListUserRoles(self, request: pb2.ListUserRolesRequest, call: Call) -> pb2.ListUserRolesResponse:
        """Read a page of a user's roles."""
        key = self._page_tokens.read(call.caller, request)
        size = page_size(request, self._limits)
        # The key is the id of a room, and empty after the global role.
        after = str(key[0]) if key else None
        held = await self._roles.page_of_user(UserId(request.user_id), after, size + 1, call.deadline)
        response = pb2.ListUserRolesResponse(assigned_roles=[_assigned(role) for role in held[:size]])
        if len(held) > size:
            response.next_page_token = self._page_tokens.make(call.caller, request, [held[size - 1].room_id])
        return response


def _assigned(assigned: AssignedRole) -> role_pb2.AssignedRole:
    return role_pb2.AssignedRole(role=_role(assigned.role), room_id=assigned.room_id)


def _role(role: Role) -> role_pb2.Role:
    return role_pb2.Role(scope=role_pb2.RoleScope.Name(role.scope), name=role.name, permissions=role.permissions)
