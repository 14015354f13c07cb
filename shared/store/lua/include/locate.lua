-- locate(index, dues, id): where a message lies while it is not settled; dues: the due sets of its topic. Needs include/scores.
-- Returns  'due', score (text), attempts, member, rest, due set     waiting; rest: attempts and deferrals as stored
--          'parked', score (text), attempts, key     waiting for its flow key
--          'stream', level, entry id                 moved to the stream of that priority
--          nil                                       none of these
-- A message that was never moved has no index entry: its id gives its score. Among members of one score (they are
-- sorted by id there) it is found by bisection, numerically, since Lua compares strings by the server's locale.
local function suffix(text, length)
  return tonumber(string.sub(text, length - 20, length - 10), 32), tonumber(string.sub(text, length - 9, length), 32)
end

local function find_member(due, id, score)
  local low = redis.call('ZCOUNT', due, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', due, score, score)
  local first, second = suffix(id, #id)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local member = redis.call('ZRANGE', due, middle, middle)[1]
    local a, b = suffix(member, #id)
    if a == first and b == second then return member end
    if a < first or (a == first and b < second) then low = middle + 1 else high = middle end
  end
  return nil
end

local function find_waiting(dues, id, score, rest)
  for _, due in ipairs(dues) do
    local member = find_member(due, id, score)
    if member then return 'due', score, tonumber(string.match(rest, '^%d+')), member, rest, due end
  end
  return nil
end

local function locate(index, dues, id)
  local where = redis.call('HGET', index, id)
  if not where then return find_waiting(dues, id, score_text(own_score(id)), '0') end
  local kind, a, b = string.match(where, '^(%S+) (%S+) (%S+)')
  if kind == 'due' then return find_waiting(dues, id, a, string.match(where, '^%S+ %S+ (.+)$')) end
  if kind == 'parked' then return 'parked', a, tonumber(b), string.match(where, '^%S+ %S+ %S+ (.+)$') end
  return kind, a, b
end
