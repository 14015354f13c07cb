-- drop_finished(finished, expiry, count): removes the `count` finished messages that expire first.
-- trim_finished(finished, expiry, now, most, limit): keeps the finished store within its age and its cap; at most `limit` a call.
-- errors_text(list): a JSON array of the errors of a message; '[]' where it has none.
-- with_errors(text, list): what is kept of a finished message: its JSON, and on a second line its errors where it has some.
local function errors_text(list)
  return '[' .. table.concat(list and redis.call('LRANGE', list, 0, -1) or {}, ',') .. ']'
end

local function with_errors(text, list)
  local errors = errors_text(list)
  return errors == '[]' and text or text .. '\n' .. errors
end

local function drop(finished, expiry, ids)
  if #ids == 0 then return 0 end
  redis.call('ZREM', expiry, unpack(ids))
  redis.call('HDEL', finished, unpack(ids))
  return #ids
end

local function trim_finished(finished, expiry, now, most, limit)
  local dropped = drop(finished, expiry, redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, limit))
  local excess = math.min(redis.call('ZCARD', expiry) - most, limit - dropped)
  if excess > 0 then
    dropped = dropped + drop(finished, expiry, redis.call('ZRANGE', expiry, 0, excess - 1))
  end
  return dropped
end
