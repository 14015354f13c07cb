-- flow_keys: the flow keys of a topic that have limits of their own, hold places or wait in line, in the order of their bytes.
--
-- KEYS[1] limits  KEYS[2] held  KEYS[3] line  KEYS[4] log  KEYS[5] kept
-- ARGV[1] flow key after which to begin; '' from the first on  ARGV[2] most of them; 0: the one of ARGV[1] itself, whatever it has
-- ARGV[3] limits of a flow key that has none of its own: 'rate period concurrency 0'
--
-- Returns of each {flow key, rate, period (ms), concurrency, 1 where it is paused, 1 where the limits are its own,
-- held or kept, in line, let through within its period, 1 where its rate is pinned, 1 where its concurrency is}
--@include now
--@include flow

local now = now_ms()
redis.call('ZCARD', KEYS[4])

local function view(key)
  local limits = limits_of(KEYS[1], key, ARGV[3])
  local since = '[' .. key .. ' ' .. millisecond(math.max(0, now - limits.period + 1))
  local recent = limits.rate > 0 and redis.call('ZLEXCOUNT', KEYS[4], since, '(' .. key .. '!') or 0
  return {
    key, limits.rate, limits.period, limits.concurrency, limits.paused and 1 or 0, limits.is_own and 1 or 0,
    taken(KEYS[2], KEYS[5], key), count_of(KEYS[3], key), recent,
    is_pinned(limits, 1) and 1 or 0, is_pinned(limits, 2) and 1 or 0,
  }
end

if tonumber(ARGV[2]) == 0 then return {view(ARGV[1])} end
local found, key = {}, ARGV[1]
while #found < tonumber(ARGV[2]) do
  local earliest
  for _, number in ipairs({1, 2, 3, 5}) do
    local first = redis.call('ZRANGEBYLEX', KEYS[number], '[' .. key .. '!', '+', 'LIMIT', 0, 1)[1]
    local other = first and string.match(first, '^%S*')
    if other and (not earliest or is_before(other, earliest)) then earliest = other end
  end
  if not earliest then break end
  found[#found + 1], key = view(earliest), earliest
end
return found
