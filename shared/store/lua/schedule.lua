-- schedule: stores new messages in their topics' due sets, all of them or none.
--
-- KEYS[1]    idempotency record of this chunk (read and written only with a time to live)
-- KEYS[2..]  due sets
-- ARGV[1]    wake-up channel
-- ARGV[2]    time to live of the idempotency record, ms; 0: the request carries no key
-- ARGV[3]    idempotency record: "<digest> <seed> <accepted ms>"
-- ARGV[4..]  per message: number of its due set in KEYS, score, record
--
-- Returns {'stored'}             all are stored
--         {'repeated', record}   an equal request was stored before: nothing is written
--         {'conflict', record}   the key belongs to a request with another digest: nothing is written
--
-- Accepts: the first write is one that Redis refuses when memory is full.
--@include wake

local ttl = tonumber(ARGV[2])
if ttl > 0 then
  local earlier = redis.call('GET', KEYS[1])
  if earlier then
    local same = string.match(earlier, '^%S+') == string.match(ARGV[3], '^%S+')
    return {same and 'repeated' or 'conflict', earlier}
  end
end

local heads, earliest, adds = {}, {}, {}
for number = 2, #KEYS do
  redis.call('ZCARD', KEYS[number]) -- refuses a key of another type before anything is written
  heads[number] = head_score(KEYS[number])
  adds[number] = {}
end
for i = 4, #ARGV, 3 do
  local number, score = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local add = adds[number]
  add[#add + 1] = ARGV[i + 1]
  add[#add + 1] = ARGV[i + 2]
  if not earliest[number] or score < earliest[number] then earliest[number] = score end
end

if ttl > 0 then redis.call('SET', KEYS[1], ARGV[3], 'PX', ttl) end
for number = 2, #KEYS do
  if #adds[number] > 0 then
    redis.call('ZADD', KEYS[number], unpack(adds[number]))
    wake(ARGV[1], KEYS[number], heads[number], earliest[number])
  end
end
return {'stored'}
