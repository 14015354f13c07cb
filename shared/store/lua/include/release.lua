-- release(id): the one step that settling, claiming, burying and handing back share: a message that held a place of its
-- flow key gives it up. Flow keys have no limits yet, so no message holds a place and there is nothing to give up.
local function release(id) -- luacheck: ignore
end
