-- admit: moves the messages of one lane that are due to their streams, as far as the limits of their flow keys and of their topic let
-- them; those whose key has no place wait in line for it. A key's messages go in the order of their due times, keys take turns.
-- What keeps its place from an attempt before goes before all others of its key.
--
-- KEYS[1]  due set of the lane   KEYS[2] index
-- KEYS[3]  parked: records that wait in line, by due time   KEYS[4] line: '<flow key> <score> <id>' of each, '!' before
--          the score of one that keeps its place: so it is the first of its key
-- KEYS[5]  held: '<flow key> <id>' of what was let through and is not over; its stream entry has the field `flow`
-- KEYS[6]  log: '<flow key> <ms> <id>' of what was let through within its period
-- KEYS[7]  next: flow keys with a line, by the millisecond at which to look at it; inf: after a release
-- KEYS[8]  limits: '<flow key> <rate> <period, ms> <concurrency> <1 where paused>[ <pins>]', or 'default' in place of the numbers
-- KEYS[9] keys with a log, by its end (ms)
-- KEYS[10] kept: '<flow key> <id>' of ordered messages that wait for another attempt; these places count as held, but for the topic
-- KEYS[11..] streams of the topic, by priority
-- ARGV[1]  most messages to move  ARGV[2] most entries a stream may hold  ARGV[3] group
-- ARGV[4]  limits of the topic: 'rate period concurrency 0'   ARGV[5] limits of a flow key that has none of its own
-- ARGV[6]  what flow keys of queues begin with, '' where there are none: without a concurrency theirs is 1, so that a queue
--          that was deleted does not let go at once all that waited in it, or was on its way there
--
-- Returns {moved, next due ms or -1, now ms, 1 where a stream is full}
--
-- Moves: begins with the removal, so a full Redis still drains.
--@include now
--@include scores
--@include locate
--@include lanes
--@include flow

local MOST_BYTES, FULL_MS, MOST_CLEARED = 1048576, 20, 1000
local now, most, room_of = now_ms(), tonumber(ARGV[1]), {}
for number = 11, #KEYS do
  room_of[level_of_key(KEYS[number])] = {stream = KEYS[number], room = tonumber(ARGV[2]) - redis.call('XLEN', KEYS[number])}
end
for number = 1, 10 do
  if number == 2 then redis.call('HLEN', KEYS[2]) else redis.call('ZCARD', KEYS[number]) end
end
local due, index, parked, line, held, log, next_key, limits, logs, kept = unpack(KEYS, 1, 10)
local are_any_kept = redis.call('ZCARD', kept) > 0
local topic, default, moved, handled, bytes, full = parse_limits(ARGV[4]), ARGV[5], 0, 0, 0, false
local known, queues = {}, ARGV[6]

local function limits_for(key)
  if not known[key] then
    known[key] = key == '' and parse_limits('0 0 0 0') or limits_of(limits, key, default)
    local is_queue = queues ~= '' and string.sub(key, 1, #queues) == queues
    if is_queue and known[key].concurrency == 0 then known[key].concurrency = 1 end
  end
  return known[key]
end

local function has_place(key, id)
  return are_any_kept and redis.call('ZSCORE', kept, key .. ' ' .. id) ~= false
end

-- When to look at a key again; '' for not at all. Removed first: a full Redis refuses a script that begins by adding.
local function look_at(key, ms)
  redis.call('ZREM', next_key, key)
  if ms ~= '' then redis.call('ZADD', next_key, ms, key) end
end

local function note(key, id, period)
  redis.call('ZREMRANGEBYLEX', log, '[' .. key .. ' ', '(' .. key .. ' ' .. millisecond(math.max(0, now - period + 1)))
  redis.call('ZADD', log, 0, key .. ' ' .. millisecond(now) .. ' ' .. id)
  redis.call('ZADD', logs, now + period, key)
end

local function is_limited(one)
  return one.rate > 0 or one.concurrency > 0 or one.paused
end

-- One message, removed from where it waited, to its stream.
local function let_through(record, id, score, key)
  local place = redis.call('HGET', index, id)
  local attempts, deferrals = string.match(place or '', '^due %S+ (%d+) ?(%S*)')
  local fields = {'due', string.format('%d', math.floor(score)), 'attempts', attempts or '0'}
  if deferrals and deferrals ~= '' then
    fields[#fields + 1] = 'deferrals'
    fields[#fields + 1] = deferrals
  end
  if is_limited(topic) or is_limited(limits_for(key)) then
    fields[#fields + 1] = 'flow'
    fields[#fields + 1] = key
    redis.call('ZADD', held, 0, key .. ' ' .. id)
  end
  if are_any_kept then redis.call('ZREM', kept, key .. ' ' .. id) end
  fields[#fields + 1] = 'message'
  fields[#fields + 1] = record
  local level = level_of(record)
  local target = room_of[level]
  if redis.call('EXISTS', target.stream) == 0 then redis.call('XGROUP', 'CREATE', target.stream, ARGV[3], '0', 'MKSTREAM') end
  local entry = redis.call('XADD', target.stream, '*', unpack(fields))
  redis.call('HSET', index, id, 'stream ' .. level .. ' ' .. entry)
  if limits_for(key).rate > 0 then note(key, id, limits_for(key).period) end
  if topic.rate > 0 then note('', id, topic.period) end
  target.room = target.room - 1
  moved, bytes = moved + 1, bytes + #record
end

local function topic_waits()
  return wait_of(held, kept, log, '', topic, now)
end

local function may_go_on()
  return handled < most and bytes < MOST_BYTES and not topic_waits()
end

-- The first in line of a key, where it may go. Returns whether the key may have another turn.
local function serve(key)
  local first = first_of(line, key)
  if not first then
    look_at(key, '')
    return false
  end
  handled = handled + 1
  local score, id = string.match(first, '^%S+ !?(%S+) (%S+)$')
  local member = find_member(parked, id, score_text(tonumber(score)))
  if not member then -- cancelled, or given another time
    redis.call('ZREM', line, first)
    return true
  end
  local wait = wait_of(held, kept, log, key, limits_for(key), now, has_place(key, id))
  if wait then
    look_at(key, wait)
    return false
  end
  if room_of[level_of(member)].room <= 0 then
    full = true
    look_at(key, now + FULL_MS)
    return false
  end
  redis.call('ZREM', parked, member)
  redis.call('ZREM', line, first)
  look_at(key, now)
  let_through(member, id, tonumber(score), key)
  return true
end

local function serve_lines()
  local again
  repeat
    again = false
    for _, key in ipairs(redis.call('ZRANGEBYSCORE', next_key, '-inf', now, 'LIMIT', 0, most)) do
      if not may_go_on() then return end
      if key == '' then look_at('', '') elseif serve(key) then again = true end
    end
  until not again
end

-- A message whose time has come: to its stream, or in line. Returns whether the next may follow.
local function take(member, score)
  local id = string.match(member, '^%S+') or member
  local key = flow_key_of(member)
  local wait
  local is_first = key ~= '' and has_place(key, id)
  if key ~= '' then
    wait = not is_first and redis.call('ZSCORE', next_key, key) or wait_of(held, kept, log, key, limits_for(key), now, is_first)
  end
  handled = handled + 1
  if not wait and key ~= '' and room_of[level_of(member)].room <= 0 then full, wait = true, now + FULL_MS end
  if wait then
    redis.call('ZREM', due, member)
    redis.call('ZADD', parked, score_text(score), member)
    redis.call('ZADD', line, 0, key .. (is_first and ' !' or ' ') .. string.format('%025.11f', score) .. ' ' .. id)
    look_at(key, wait)
    bytes = bytes + #member
    return true
  end
  if room_of[level_of(member)].room <= 0 then
    full = true
    return false
  end
  redis.call('ZREM', due, member)
  let_through(member, id, score, key)
  return true
end

local function take_due()
  local before, slice = '(' .. string.format('%d', now + 1), 4
  while may_go_on() do
    local part = redis.call('ZRANGEBYSCORE', due, '-inf', before, 'WITHSCORES', 'LIMIT', 0, math.min(slice, most - handled))
    for i = 1, #part, 2 do
      if not may_go_on() or not take(part[i], tonumber(part[i + 1])) then return end
    end
    if #part == 0 then return end
    slice = slice * 4
  end
end

-- Logs whose period is over. A call makes at most `most` of them, and clears twice as many.
local cleared = 0
for _, key in ipairs(redis.call('ZRANGEBYSCORE', logs, '-inf', now, 'LIMIT', 0, 2 * most)) do
  local old = redis.call('ZRANGEBYLEX', log, '[' .. key .. ' ', '(' .. key .. '!', 'LIMIT', 0, MOST_CLEARED - cleared)
  if #old > 0 then redis.call('ZREM', log, unpack(old)) end
  cleared = cleared + #old
  if cleared >= MOST_CLEARED then break end
  redis.call('ZREM', logs, key)
end

-- Some that wait are looked at whatever is known of them: limits of the settings may be others by now.
for _, key in ipairs(redis.call('ZRANDMEMBER', next_key, 2)) do
  if key ~= '' then look_at(key, now) end
end

-- With a limit of the topic lines alone may use it up: what has just become due gets its turn first, half of the time.
if is_limited(topic) and now % 2 == 0 then
  take_due()
  serve_lines()
else
  serve_lines()
  take_due()
end

-- When to look again: the earliest in the due set or in a line, but not before the topic has a place.
local function earliest(set)
  local score = tonumber(redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')[2])
  return score and score < math.huge and math.floor(score) or nil
end
local head, waiting = earliest(due), earliest(next_key)
local again = head and waiting and math.min(head, waiting) or head or waiting
local wait = again and again <= now and topic_waits()
if wait then
  look_at('', wait)
  again = wait == 'inf' and -1 or wait
end
return {moved, again or -1, now, full and 1 or 0}
