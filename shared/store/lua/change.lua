-- change: moves a waiting message to another due time, or replaces its record, or both.
--
-- KEYS[1] index  KEYS[2] errors of the message  KEYS[3..] due sets of its topic
-- ARGV[1] message id  ARGV[2] wake-up channel
-- ARGV[3] new due time, ms (a past one is now); 'now'; '' keeps it
-- ARGV[4] new record (of the same id); '' keeps it
-- ARGV[5] the record the caller has seen; '' where any will do
-- ARGV[6] the due time the caller has seen, ms; '' where any will do
-- ARGV[7] number in KEYS of the due set that a new record belongs to; 0 keeps it where it is
--
-- Returns {'changed', score, record, attempts and deferrals, {errors}}
--         {'stale'}            the record or the due time is another than the one seen: nothing is written
--         {'moved'}            it is in its stream: too late
--         {'absent'}           it is not waiting
--
-- Moves: begins with the removal.
--@include now
--@include scores
--@include wake
--@include locate
--@include lanes

local id = ARGV[1]
local kind, score, _, member, rest, old = locate(KEYS[1], slice(KEYS, 3), id)
if kind == 'stream' then return {'moved'} end
if kind ~= 'due' then return {'absent'} end

local record = ARGV[4] ~= '' and ARGV[4] or member
if ARGV[5] ~= '' and ARGV[5] ~= member and record ~= member then return {'stale'} end
if ARGV[6] ~= '' and tonumber(ARGV[6]) ~= math.floor(tonumber(score)) then return {'stale'} end
local fresh = tonumber(score)
if ARGV[3] ~= '' then
  local now, wanted = now_ms(), ARGV[3] == 'now' and 0 or tonumber(ARGV[3])
  -- A time in the past is now, and never later than it was: a repeat changes nothing.
  fresh = wanted > now and score_at(id, wanted) or math.min(fresh, score_at(id, now))
end
local due = KEYS[tonumber(ARGV[7])] or old
if is_lane(due, 'parked') then -- it stands in line with its old time: it comes to the line again
  for number = 3, #KEYS do
    if is_lane(KEYS[number], 'limited') then due = KEYS[number] end
  end
end
local head = head_score(due)
local errors = redis.call('LRANGE', KEYS[2], 0, -1)

redis.call('ZREM', old, member)
redis.call('ZADD', due, score_text(fresh), record)
if fresh == own_score(id) and rest == '0' then
  redis.call('HDEL', KEYS[1], id)
else
  redis.call('HSET', KEYS[1], id, 'due ' .. score_text(fresh) .. ' ' .. rest)
end
if fresh < tonumber(score) or due ~= old then wake(ARGV[2], due, head, fresh) end
return {'changed', score_text(fresh), record, rest, errors}
