-- Flow control: how many messages of a flow key are let through. Needs include/scores. A key is a text without spaces; '' stands
-- for the whole topic. What belongs to a key lies in sets whose members all have the score 0, so that they are sorted by their
-- bytes, and those of a key stand together: '<key> ' is where they begin and '<key>!' where they have ended.
--
-- count_of(set, key): how many members a key has.
-- first_of(set, key, skip): its first member, after `skip` others; nil where there is none.
-- is_before(a, b): whether a text comes before another by its bytes, which Lua compares by the server's locale.
-- limits_of(set, key, default): rate, period (ms), concurrency, paused, whether they are its own, and which of them are pinned:
--   1 rate and period, 2 concurrency, 3 both. A rate or concurrency of 0 is no limit.
-- is_pinned(limits, what): of these, 1 the rate, 2 the concurrency.
-- taken(held, kept, key): how many places of it are taken. Of a topic as a whole none is kept.
-- wait_of(held, kept, log, key, limits, now, has_place): nil where one more may go now; else when (ms) to ask again, 'inf' for after
--   a release. has_place: it keeps a place of its key from an attempt before, so it needs no other.
-- release(held or kept, next, key, id, channel, now): gives the place of a message back; who waits for one is looked at again.
-- keep(held, kept, next, key, id, channel, now): the message is to be tried again: of its two places it keeps that of its key.
local function count_of(set, key)
  return redis.call('ZLEXCOUNT', set, '[' .. key .. ' ', '(' .. key .. '!')
end

local function first_of(set, key, skip)
  return redis.call('ZRANGEBYLEX', set, '[' .. key .. ' ', '(' .. key .. '!', 'LIMIT', skip or 0, 1)[1]
end

local function is_before(a, b)
  for at = 1, math.min(#a, #b) do
    local one, other = string.byte(a, at), string.byte(b, at)
    if one ~= other then return one < other end
  end
  return #a < #b
end

local function parse_limits(text)
  local rate, period, concurrency, paused, pins = string.match(text, '^(%d+) (%d+) (%d+) (%d) ?(%d?)$')
  return {
    rate = tonumber(rate), period = tonumber(period), concurrency = tonumber(concurrency), paused = paused == '1',
    pins = tonumber(pins) or 0, is_own = false,
  }
end

local function limits_of(set, key, default)
  local member = first_of(set, key)
  local own = member and string.sub(member, #key + 2)
  local paused = own and string.match(own, '^default (%d)$')
  local found = parse_limits((not own or paused) and default or own)
  if paused then found.paused = paused == '1' end
  found.is_own = own ~= nil and not paused
  return found
end

local function is_pinned(limits, what)
  return limits.pins == 3 or limits.pins == what
end

local function millisecond(ms)
  return string.format('%015d', ms)
end

local function taken(held, kept, key)
  return key == '' and redis.call('ZCARD', held) or count_of(held, key) + count_of(kept, key)
end

local function wait_of(held, kept, log, key, limits, now, has_place)
  if limits.paused then return 'inf' end
  if limits.concurrency > 0 and not has_place and taken(held, kept, key) >= limits.concurrency then return 'inf' end
  if limits.rate == 0 then return nil end
  local recent = redis.call('ZLEXCOUNT', log, '[' .. key .. ' ' .. millisecond(math.max(0, now - limits.period + 1)), '(' .. key .. '!')
  if recent < limits.rate then return nil end
  local oldest = first_of(log, key, count_of(log, key) - limits.rate)
  return tonumber(string.match(oldest, '^%S* (%d+)')) + limits.period
end

local function look_now(next_key, key, channel, now)
  redis.call('ZADD', next_key, now, key)
  local topic = string.match(next_key, '}:flow:(.+):next$')
  redis.call('PUBLISH', channel, topic .. (key == '' and ':all ' or ':limited ') .. string.format('%d', now))
end

local function look_after_release(next_key, key, channel, now)
  if redis.call('ZSCORE', next_key, key) == 'inf' then look_now(next_key, key, channel, now) end
end

local function release(places, next_key, key, id, channel, now)
  if redis.call('ZREM', places, key .. ' ' .. id) == 0 then return end
  look_after_release(next_key, key, channel, now)
  if key ~= '' then look_after_release(next_key, '', channel, now) end
end

local function keep(held, kept, next_key, key, id, channel, now)
  if redis.call('ZREM', held, key .. ' ' .. id) == 0 then return end
  redis.call('ZADD', kept, 0, key .. ' ' .. id)
  look_after_release(next_key, '', channel, now)
end
