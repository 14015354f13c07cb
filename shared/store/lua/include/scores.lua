-- Scores are due milliseconds plus a tie of 1/2048ths that the id carries (see shared/ids.py); a double holds both exactly.
local function own_score(id)
  return tonumber(string.sub(id, -21, -11), 32) / 2048
end

local function score_at(id, due_ms)
  return due_ms + (tonumber(string.sub(id, -21, -11), 32) % 2048) / 2048
end

local function score_text(score)
  return string.format('%.17g', score)
end
