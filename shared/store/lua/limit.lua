-- limit: sets what a flow key may do, pauses or resumes it. Who waits in its line is looked at again.
--
-- KEYS[1] limits  KEYS[2] when to look at flow keys
-- ARGV[1] flow key  ARGV[2] wake-up channel
-- ARGV[3] 'rate period concurrency' (period in ms); 'default' for those of its topic's settings; '' keeps what it has
-- ARGV[4] 1 paused, 0 not; '' keeps it
--
-- Returns {'set'}
--
-- Accepts: the first write is one that Redis refuses when memory is full, but where something of its own was there before.
--@include now
--@include flow

local key, now = ARGV[1], now_ms()
local before = first_of(KEYS[1], key)
redis.call('ZCARD', KEYS[2])
local own = before and string.match(before, '^%S+ (.+) %d$') or 'default'
local paused = before and string.match(before, '%d$') or '0'
if ARGV[3] ~= '' then own = ARGV[3] end
if ARGV[4] ~= '' then paused = ARGV[4] end

if before then redis.call('ZREM', KEYS[1], before) end
if own ~= 'default' or paused == '1' then redis.call('ZADD', KEYS[1], 0, key .. ' ' .. own .. ' ' .. paused) end
local look = tonumber(redis.call('ZSCORE', KEYS[2], key))
if look and look > now then look_now(KEYS[2], key, ARGV[2], now) end
return {'set'}
