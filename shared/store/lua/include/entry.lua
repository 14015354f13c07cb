-- entry_fields(stream, entry): the fields of a stream entry: due (ms), attempts spent before it, record,
-- deferrals ('' none; '<retries that did not count as attempts>/<ms of the first>'), flow key of the place that it holds (nil:
-- it holds none); nil where it is gone.
-- lost_attempts(deliveries): the lost deliveries that count. Whether the first lost one had started is not known, so it is
-- free; a claimed one starts at once, so from the second on each counts.
local function fields_of(flat)
  local fields = {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return tonumber(fields.due) or 0, tonumber(fields.attempts) or 0, fields.message or '', fields.deferrals or '', fields.flow
end

local function entry_fields(stream, entry)
  local found = redis.call('XRANGE', stream, entry, entry)[1]
  if not found then return nil end
  return fields_of(found[2])
end

local function lost_attempts(deliveries)
  return math.max(0, deliveries - 2)
end
