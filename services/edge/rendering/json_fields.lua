local byte, sub, find = string.byte, string.sub, string.find
local any, text, bool = {is_any = true}, {is_text = true}, {is_bool = true}
-- Digits of the largest number and of the least one: as texts, because numbers are doubles here.
local int32 = {is_whole = true, most = "2147483647", least = "2147483648"}
local int64 = {is_whole = true, most = "9223372036854775807", least = "9223372036854775808"}

-- The messages and enums of the contract by their names, each with its fields or names.
local kinds = {}
local function the(name)
  kinds[name] = kinds[name] or {}
  return kinds[name]
end
-- `groups` are lists of fields of which there may be one.
local function message(name, fields, groups)
  local spelled, own, of_group = {}, {}, {}
  for field, kind in pairs(fields) do
    local camel = field:gsub("_(%w)", string.upper)
    spelled[field], spelled[camel] = kind, kind
    own[field], own[camel] = field, field
  end
  for _, group in ipairs(groups) do
    for _, field in ipairs(group) do
      of_group[field] = group
    end
  end
  local kind = the(name)
  kind.fields, kind.own, kind.of_group = spelled, own, of_group
end
local function enum(name, ...)
  local kind = the(name)
  kind.names, kind.says = {}, table.concat({...}, ", ", 2)
  for _, value in ipairs({...}) do
    kind.names[value] = true
  end
end
-- What is a text in JSON. The transcoder takes the fields of their messages too.
local function written(name, form, says, fields)
  message(name, fields, {})
  the(name).form, the(name).says = form, says
end
written("google.protobuf.FieldMask", "^[%w_.,]*$", "names of fields with commas between them",
  {paths = {item = text}})
written("google.protobuf.Timestamp", "^%d%d%d%d%-[01]%d%-[0-3]%dT[0-2]%d:[0-5]%d:[0-6]%d%.?%d*[Z+-][%d:]*$",
  "a time such as 2026-01-31T12:00:00Z", {seconds = int64, nanos = int32})
@kinds@
local requests = {
@requests@
}
local grpc_only = {@grpc_only@}

-- What is read, how far, the names and numbers that lead there, and how many more values there may be in what may be
-- anything. Nothing waits while a body is read.
local json, at, trail, depth, left

local function fail(words)
  error({words = words, at = at}, 0)
end

local function skip_blanks()
  local c = byte(json, at)
  while c == 32 or c == 10 or c == 13 or c == 9 do
    at = at + 1
    c = byte(json, at)
  end
  return c
end

local function hex()
  local digits = sub(json, at + 2, at + 5)
  if not find(digits, "^%x%x%x%x$") then
    fail("\\u must be followed by four hexadecimal digits")
  end
  return tonumber(digits, 16)
end

local function skip_escape()
  local c = byte(json, at + 1)
  if c == 117 then
    local code = hex()
    if code >= 0xD800 and code <= 0xDFFF then
      local first = code < 0xDC00 and sub(json, at + 6, at + 7) == "\\u"
      at = first and at + 6 or at
      local second = first and hex() or 0
      if second < 0xDC00 or second > 0xDFFF then
        fail("is half of a surrogate pair")
      end
    end
    at = at + 6
  elseif c and find(string.char(c), '["\\/bfnrt]') then
    at = at + 2
  else
    fail("is no escape of JSON")
  end
end

-- RFC 3629. By bytes, because patterns are slower by far.
local function skip_character(c)
  local size = c < 0xC2 and 0 or c < 0xE0 and 2 or c < 0xF0 and 3 or c < 0xF5 and 4 or 0
  local least = c == 0xE0 and 0xA0 or c == 0xF0 and 0x90 or 0x80
  local most = c == 0xED and 0x9F or c == 0xF4 and 0x8F or 0xBF
  for offset = 1, size - 1 do
    local next_byte = byte(json, at + offset)
    if not next_byte or next_byte < least or next_byte > most then
      size = 0
      break
    end
    least, most = 0x80, 0xBF
  end
  if size == 0 then
    fail("is no UTF-8")
  end
  at = at + size
end

local function skip_text()
  local start = at
  at = at + 1
  while true do
    local c = byte(json, at)
    if c == 34 then
      at = at + 1
      return sub(json, start + 1, at - 2)
    elseif c == 92 then
      skip_escape()
    elseif not c then
      at = start
      fail("a text that begins here does not end")
    elseif c < 32 then
      fail("must be escaped in a text")
    elseif c < 128 then
      at = at + 1
    else
      skip_character(c)
    end
  end
end

local function skip_word()
  local first, last = find(json, "^[%w.+-]+", at)
  if not first then
    fail(at > #json and "the JSON ends too early" or "a value must stand here")
  end
  local word = sub(json, first, last)
  if word ~= "true" and word ~= "false" and word ~= "null" then
    local number = find(word, "^-?%d+%.?%d*[eE]?[+-]?%d*$") and tonumber(word)
    local digit = byte(word) == 45 and 2 or 1
    if not number or byte(word, digit) == 48 and find(word, "^%d", digit + 1) then
      fail("a value must stand here")
    elseif number == math.huge or number == -math.huge then
      fail("is too large a number, or too small")
    end
  end
  return word, last + 1
end

local function check_whole(kind, word)
  local sign, digits = word:match("^(-?)(%d+)$")
  if not digits then
    fail("must be a whole number")
  end
  local bound = sign == "-" and kind.least or kind.most
  digits = digits:gsub("^0+", "")
  if #digits > #bound or #digits == #bound and digits > bound then
    fail("is too large a number, or too small")
  end
end

local function check_text(kind, said)
  if kind.names then
    if not kind.names[said] then
      fail("must be one of " .. kind.says)
    end
  elseif kind.form then
    if not find(said, kind.form) then
      fail("must be " .. kind.says)
    end
  elseif kind.is_whole then
    check_whole(kind, said)
  elseif kind.is_bool and said ~= "true" and said ~= "false" then
    fail("must be true or false")
  elseif kind.free or kind.fields then
    fail("must be an object")
  end
end

local function check_word(kind, word)
  if word == "null" or kind.is_any then
    return
  elseif kind.is_bool and (word == "true" or word == "false") then
    return
  elseif kind.is_whole then
    check_whole(kind, word)
  elseif kind.form then
    fail("must be " .. kind.says)
  elseif kind.is_text then
    fail("must be a text")
  elseif kind.is_bool then
    fail("must be true or false")
  elseif kind.names then
    if not find(word, "^-?%d+$") then
      fail("must be one of " .. kind.says)
    end
    check_whole(int32, word)
  else
    fail("must be an object")
  end
end

local read

local function is_null()
  skip_blanks()
  return find(json, "^null%f[^%w]", at) ~= nil
end

-- What of an object was read before: its names, and of each group the name that is taken.
local function check_name(kind, name, seen)
  local own = kind.own and kind.own[name] or name
  if seen[own] then
    fail("stands here twice")
  end
  seen[own] = true
end

local function check_group(kind, name, seen)
  local group = kind.of_group and kind.of_group[kind.own[name]]
  if group and not is_null() then
    if seen[group] then
      fail("can't be given together with " .. seen[group])
    end
    seen[group] = name
  end
end

local function read_object(kind)
  local seen = {}
  at = at + 1
  local c = skip_blanks()
  if c == 125 then
    at = at + 1
    return
  end
  while true do
    if c ~= 34 then
      fail("a name in double quotes must stand here")
    end
    local start = at
    local name = skip_text()
    trail[depth] = name
    local field, stop = any, at
    at = start
    if kind.fields then
      field = kind.fields[name]
      if not field then
        fail("there is no such field")
      end
    end
    check_name(kind, name, seen)
    at = stop
    if skip_blanks() ~= 58 then
      fail("a colon must stand here")
    end
    at = at + 1
    check_group(kind, name, seen)
    read(field)
    c = skip_blanks()
    trail[depth] = nil
    if c == 125 then
      at = at + 1
      return
    elseif c ~= 44 then
      fail(c and "a comma or the end of the object must stand here" or "the JSON ends too early")
    end
    at = at + 1
    c = skip_blanks()
  end
end

local function read_list(item, most)
  at = at + 1
  if skip_blanks() == 93 then
    at = at + 1
    return
  end
  local index = 0
  while true do
    if most and index >= most then
      trail[depth] = nil
      fail("has more items than anybody may send")
    end
    trail[depth] = index
    if item ~= any and is_null() then
      fail("must not be null")
    end
    read(item)
    local c = skip_blanks()
    trail[depth] = nil
    if c == 93 then
      at = at + 1
      return
    elseif c ~= 44 then
      fail(c and "a comma or the end of the list must stand here" or "the JSON ends too early")
    end
    at = at + 1
    index = index + 1
  end
end

local function read_value(kind, one)
  local c = skip_blanks()
  if c == 123 then
    if not (one.fields or one.free or one.is_any) then
      fail(kind.item and "must be a list" or "must not be an object")
    end
  elseif c == 91 then
    if not (kind.item or kind.is_any) then
      fail("must not be a list")
    end
  elseif c == 34 then
    local start = at
    local said = skip_text()
    local stop = at
    at = start
    check_text(one, said)
    at = stop
    return
  else
    local word, stop = skip_word()
    check_word(one, word)
    at = stop
    return
  end
  depth = depth + 1
  if depth > @most_nested@ then
    fail("is nested too deeply")
  end
  if c == 123 then
    read_object(one)
  else
    read_list(kind.is_any and any or kind.item, kind.most_items)
  end
  depth = depth - 1
end

function read(kind)
  local one, outside = kind.item or kind, left - 1
  left = one.values or outside
  if left < 0 then
    fail("has more values than anybody may send")
  end
  read_value(kind, one)
  if one.values then
    left = outside
  end
end

local function read_request(kind)
  if skip_blanks() ~= 123 then
    fail("the request must be an object")
  end
  read(kind)
  if skip_blanks() then
    fail("nothing may follow the request")
  end
end

local function shown(words)
  words = words:gsub("[^ -~]", "?")
  return #words > @most_chars@ and sub(words, 1, @most_chars@) .. "..." or words
end

local function path_of()
  local path = ""
  for level = 1, depth do
    local step = trail[level]
    if type(step) == "number" then
      path = path .. "[" .. step .. "]"
    elseif step then
      path = path .. (path == "" and "" or ".") .. step
    end
  end
  return shown(path)
end

local function place_of(offset)
  local line, start = 1, 1
  while true do
    local found = find(json, "\n", start, true)
    if not found or found >= offset then
      return "line " .. line .. ", column " .. (offset - start + 1)
    end
    line, start = line + 1, found + 1
  end
end

function envoy_on_request(call)
  local headers = call:headers()
  -- Exactly what the transcoder leaves alone. gRPC-Web was made gRPC by now, and all else is JSON to it.
  local content_type = headers:get("content-type") or ""
  if content_type == "application/grpc" or sub(content_type, 1, 17) == "application/grpc+" then
    return
  end
  if grpc_only[headers:get(":path")] then
    call:respond({[":status"] = "400", ["@fault_header@"] = "@fault@"}, "")
    return
  end
  local kind = requests[headers:get(":path")]
  local body = kind and call:body()
  if not body or body:length() == 0 then
    return
  end
  json, at, trail, depth, left = body:getBytes(0, body:length()), 1, {}, 0, math.huge
  local is_right, wrong = pcall(read_request, kind)
  if not is_right then
    if type(wrong) ~= "table" then
      wrong = {words = "the request can't be read", at = at}
    end
    local field, place = path_of(), place_of(wrong.at)
    local words = place .. ": " .. (field == "" and "" or field .. ": ") .. shown(wrong.words)
    local answer = {[":status"] = "400", ["@place_header@"] = place}
    if field ~= "" then
      answer["@field_header@"] = field
    end
    json, trail = nil, nil
    call:respond(answer, words)
  end
  json, trail = nil, nil
end

function envoy_on_response(call)
  local headers = call:headers()
  local status = headers:get("@status_header@")
  if status and headers:get("content-type") == "application/json" then
    headers:replace(":status", status)
  end
end
