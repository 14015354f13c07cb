-- leave: removes a consumer from the group of each stream, only where nothing is pending for it (XGROUP DELCONSUMER discards
-- pending entries, which nobody could reach again).
--
-- KEYS[1..]  streams
-- ARGV[1] group  ARGV[2] consumer
--
-- Returns the number of streams where entries are still pending for it

local idle = {}
local busy = 0
for _, stream in ipairs(KEYS) do -- all are looked at before the first write
  local rows = redis.pcall('XPENDING', stream, ARGV[1], '-', '+', 1, ARGV[2])
  if not rows.err then
    if rows[1] then busy = busy + 1 else idle[#idle + 1] = stream end
  elseif not string.find(rows.err, 'NOGROUP', 1, true) then
    return rows
  end
end
for _, stream in ipairs(idle) do redis.call('XGROUP', 'DELCONSUMER', stream, ARGV[1], ARGV[2]) end
return busy
