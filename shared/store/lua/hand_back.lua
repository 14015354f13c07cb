-- hand_back: puts deliveries that were not started back to their streams at once, for any worker to read. Id, due time and
-- attempts are unchanged; each only where this consumer and delivery count hold the lease.
--
-- KEYS[1] index  KEYS[2..] streams
-- ARGV[1] group  ARGV[2] consumer
-- ARGV[3..]  per delivery: number of its stream in KEYS, entry id, deliveries
--
-- Returns per delivery: 1 handed back; 0 refused
--
-- Moves: begins with the removal, so a full Redis still drains.
--@include lease
--@include entry

redis.call('HLEN', KEYS[1])
for number = 2, #KEYS do redis.call('XLEN', KEYS[number]) end -- all or none: a stream of another type refuses before the first write
local results = {}
for i = 3, #ARGV, 3 do
  local stream, entry = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  local owner, deliveries = lease(stream, ARGV[1], entry)
  local ours = owner == ARGV[2] and deliveries == tonumber(ARGV[i + 2])
  results[#results + 1] = ours and 1 or 0
  if ours then
    local due, attempts, record, deferrals, flow = entry_fields(stream, entry)
    redis.call('XACK', stream, ARGV[1], entry)
    if due then
      redis.call('XDEL', stream, entry)
      local fields = {'due', string.format('%d', due), 'attempts', attempts + lost_attempts(deliveries)}
      if deferrals ~= '' then
        fields[#fields + 1] = 'deferrals'
        fields[#fields + 1] = deferrals
      end
      if flow then
        fields[#fields + 1] = 'flow'
        fields[#fields + 1] = flow
      end
      fields[#fields + 1] = 'message'
      fields[#fields + 1] = record
      local fresh = redis.call('XADD', stream, '*', unpack(fields))
      local id = string.match(record, '^%S+') or record
      redis.call('HSET', KEYS[1], id, 'stream ' .. string.match(stream, '[^:]+$') .. ' ' .. fresh)
    end
  end
end
return results
