-- tidy: gives back places of messages that are not where they should be any more, such as one that a stranger deleted there.
--
-- KEYS[1] index  KEYS[2] held, or kept  KEYS[3] when to look at flow keys
-- KEYS[4] due set of messages with a flow key  KEYS[5] those of them that wait in line
-- KEYS[6..] streams of the topic, by priority
-- ARGV[1] member of KEYS[2] after which to go on; '' from the first  ARGV[2] most to look at  ARGV[3] wake-up channel
-- ARGV[4] where its messages should be: 'stream' of held, 'due' of kept
--
-- Returns {the member to go on after or '' at the end, places given back}
--
-- Frees: begins with the removal.
--@include now
--@include scores
--@include locate
--@include lanes
--@include flow

local now, given_back = now_ms(), 0
redis.call('HLEN', KEYS[1])
for number = 3, 5 do redis.call('ZCARD', KEYS[number]) end
for number = 6, #KEYS do redis.call('XLEN', KEYS[number]) end

local is_there = {}

function is_there.stream(id)
  local level, entry = string.match(redis.call('HGET', KEYS[1], id) or '', '^stream (%S+) (%S+)$')
  for number = 6, #KEYS do
    if level == level_of_key(KEYS[number]) then return #redis.call('XRANGE', KEYS[number], entry, entry) > 0 end
  end
  return false
end

function is_there.due(id)
  local first, second = suffix(id, #id)
  if not first or not second then return false end -- a stranger's: it is no id, and nothing is found by it
  return locate(KEYS[1], slice(KEYS, 4, 5), id) == 'due'
end

local members = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1] == '' and '-' or '(' .. ARGV[1], '+', 'LIMIT', 0, ARGV[2])
for _, member in ipairs(members) do
  local key, id = string.match(member, '^(%S*) (.*)$')
  if not is_there[ARGV[4]](id) then
    release(KEYS[2], KEYS[3], key, id, ARGV[3], now)
    given_back = given_back + 1
  end
end
return {#members == tonumber(ARGV[2]) and members[#members] or '', given_back}
