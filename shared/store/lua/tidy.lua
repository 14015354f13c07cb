-- tidy: gives back the places of messages that are not in a stream any more, such as one that a stranger deleted there.
--
-- KEYS[1] index  KEYS[2] held  KEYS[3] when to look at flow keys  KEYS[4..] streams of the topic, by priority
-- ARGV[1] member of `held` after which to go on; '' from the first  ARGV[2] most to look at  ARGV[3] wake-up channel
--
-- Returns {the member to go on after or '' at the end, places given back}
--
-- Frees: begins with the removal.
--@include now
--@include lanes
--@include flow

local now, given_back = now_ms(), 0
redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[3])
for number = 4, #KEYS do redis.call('XLEN', KEYS[number]) end

local function is_there(id)
  local level, entry = string.match(redis.call('HGET', KEYS[1], id) or '', '^stream (%S+) (%S+)$')
  for number = 4, #KEYS do
    if level == level_of_key(KEYS[number]) then return #redis.call('XRANGE', KEYS[number], entry, entry) > 0 end
  end
  return false
end

local members = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1] == '' and '-' or '(' .. ARGV[1], '+', 'LIMIT', 0, ARGV[2])
for _, member in ipairs(members) do
  local key, id = string.match(member, '^(%S*) (.*)$')
  if not is_there(id) then
    release(KEYS[2], KEYS[3], key, id, ARGV[3], now)
    given_back = given_back + 1
  end
end
return {#members == tonumber(ARGV[2]) and members[#members] or '', given_back}
