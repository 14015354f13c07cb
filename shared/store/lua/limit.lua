-- limit: sets what a flow key may do, pauses and resumes it, pins its limits. Who waits in its line is looked at again.
--
-- KEYS[1] limits  KEYS[2] when to look at flow keys
-- ARGV[1] flow key  ARGV[2] wake-up channel
-- ARGV[3] 'rate period concurrency' (period in ms), each a number, or - to keep it; 'default' for those of its topic's settings, with
--         nothing pinned; '' keeps what it has
-- ARGV[4] 1 paused, 0 not; '' keeps it
-- ARGV[5] set; ensure: only where it has none of its own; offer: what is pinned stays
-- ARGV[6] two of 1 pinned, 0 not, - as it is: for the rate with its period, and for the concurrency
-- ARGV[7] limits of a flow key that has none of its own: 'rate period concurrency 0'
--
-- Returns {'set'}   {'kept'} it has limits of its own: nothing is written
--
-- Accepts: the first write is one that Redis refuses when memory is full, but where something of its own was there before. Pins are
-- written where there are some only: what has none is read by releases that know of none.
--@include now
--@include flow

local key, mode, now = ARGV[1], ARGV[5], now_ms()
local before = first_of(KEYS[1], key)
local limits = limits_of(KEYS[1], key, ARGV[7])
redis.call('ZCARD', KEYS[2])
if mode == 'ensure' and limits.is_own then return {'kept'} end

if ARGV[3] == 'default' then
  limits.is_own, limits.pins = false, 0
elseif ARGV[3] ~= '' then
  local rate, period, concurrency = string.match(ARGV[3], '^(%S+) (%S+) (%S+)$')
  limits.is_own = true
  if mode ~= 'offer' or not is_pinned(limits, 1) then
    limits.rate, limits.period = tonumber(rate) or limits.rate, tonumber(period) or limits.period
  end
  if mode ~= 'offer' or not is_pinned(limits, 2) then limits.concurrency = tonumber(concurrency) or limits.concurrency end
end
if ARGV[4] ~= '' then limits.paused = ARGV[4] == '1' end

local function pin_of(what)
  local asked = string.sub(ARGV[6], what, what)
  return (asked == '1' or asked == '-' and is_pinned(limits, what)) and what or 0
end
limits.pins = limits.is_own and pin_of(1) + pin_of(2) or 0

local after
if limits.is_own then
  after = string.format('%s %d %d %d %d', key, limits.rate, limits.period, limits.concurrency, limits.paused and 1 or 0)
  if limits.pins > 0 then after = after .. ' ' .. limits.pins end
elseif limits.paused then
  after = key .. ' default 1'
end
if after == before then return {'set'} end -- as with most messages that bring limits of their own

if before then redis.call('ZREM', KEYS[1], before) end
if after then redis.call('ZADD', KEYS[1], 0, after) end
local look = tonumber(redis.call('ZSCORE', KEYS[2], key))
if look and look > now then look_now(KEYS[2], key, ARGV[2], now) end
return {'set'}
