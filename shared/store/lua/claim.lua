-- claim: takes over deliveries of one stream whose lease ran out: after lease * 2^(deliveries - 1), capped.
--
-- KEYS[1]  stream
-- ARGV[1] group  ARGV[2] consumer
-- ARGV[3]  cursor: entry id to scan from, '-' from the start
-- ARGV[4]  most pending entries to look at
-- ARGV[5]  lease, ms  ARGV[6]  longest wait before a claim, ms
-- ARGV[7]  most entries to take
-- ARGV[8]  of these, most that were lost at least twice before (a message that may kill its worker runs alone)
-- ARGV[9]  latest time to run this, ms. A server that was frozen works off what waits in its sockets in any order: a claim
--          would come before the renewals that were held up with it, and take what is still running.
--
-- Returns {'late'} after that time, else {next cursor, {entry id, deliveries, due ms, attempts, record, deferrals, consumer that lost it, flow}, ...}
-- The cursor is '-' at the end, '(<entry>' after a full page, and a bare entry id where that one is stuck and there is no room.
--
-- A plain range with a COUNT: the IDLE filter would walk the whole list.
--@include entry
--@include now

if now_ms() > tonumber(ARGV[9]) then return {'late'} end
local rows = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], '+', ARGV[4])
local lease, cap = tonumber(ARGV[5]), math.max(tonumber(ARGV[5]), tonumber(ARGV[6]))
local room, suspects = tonumber(ARGV[7]), tonumber(ARGV[8])
local reply = {#rows == tonumber(ARGV[4]) and '(' .. rows[#rows][1] or '-'}

for _, row in ipairs(rows) do
  local entry, idle, deliveries = row[1], tonumber(row[3]), tonumber(row[4])
  local suspect = deliveries >= 2
  if idle >= math.min(cap, lease * 2 ^ (math.min(deliveries, 32) - 1)) and not (suspect and suspects <= 0) then
    if room <= 0 then -- the cursor without a bracket says so: one is stuck, and there is no room for it
      reply[1] = row[1]
      break
    end
    local due, attempts, record, deferrals, flow = entry_fields(KEYS[1], entry)
    if due then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, entry)
      reply[#reply + 1] = {entry, deliveries + 1, due, attempts, record, deferrals, row[2], flow}
      room = room - 1
      if suspect then suspects = suspects - 1 end
    else
      redis.call('XACK', KEYS[1], ARGV[1], entry) -- deleted by a stranger: a pending entry without content
    end
  end
end
return reply
