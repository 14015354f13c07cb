-- renew: keeps leases alive, each only where this consumer and delivery count still hold it. A bare XCLAIM would take the
-- entry back from its new owner; without JUSTID it would raise the counter that fences rely on.
--
-- KEYS[1..]  streams
-- ARGV[1] group  ARGV[2] consumer
-- ARGV[3..]  per delivery: number of its stream in KEYS, entry id, deliveries
--
-- Returns per delivery: 1 renewed; 0 lost
--@include lease

for _, stream in ipairs(KEYS) do redis.call('XLEN', stream) end -- a key of another type refuses before the first write
local results = {}
for i = 3, #ARGV, 3 do
  local stream, entry = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  local owner, deliveries = lease(stream, ARGV[1], entry)
  local ours = owner == ARGV[2] and deliveries == tonumber(ARGV[i + 2])
  if ours then redis.call('XCLAIM', stream, ARGV[1], ARGV[2], 0, entry, 'JUSTID') end
  results[#results + 1] = ours and 1 or 0
end
return results
