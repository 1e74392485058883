#!lua name=chronos1
-- What must happen in one piece on the server: a document guarded by its revision, its samples, a channel's next
-- number and the message that carries it. Everything is refused while cs:epoch is absent, except for who rebuilds.

local STRIDE = 9
local DAY = 86400000
local NO_EPOCH = 'NOEPOCH the live picture is absent; rebuild it'

local function split(text)
  local words = {}
  for word in string.gmatch(text, '%S+') do words[#words + 1] = word end
  return words
end

local function say(epoch, channel, head, tail)
  local seq = redis.call('INCR', 'cs:seq:' .. string.sub(channel, 7))
  redis.call('PUBLISH', channel, '{' .. head .. ',"epoch":"' .. epoch .. '","seq":' .. string.format('%d', seq)
    .. ',"channel":"' .. channel .. '"' .. tail .. '}')
  return seq
end

local function make_series(key, job, metric, agg)
  local function create(name, retention, chunk, label)
    redis.call('TS.CREATE', name, 'RETENTION', retention, 'CHUNK_SIZE', chunk, 'DUPLICATE_POLICY', 'LAST',
      'LABELS', 'job', job, 'metric', metric, 'agg', label)
  end
  create(key, 7 * DAY, 256, 'raw')
  for step, kept in pairs({['1m'] = 30 * DAY, ['1h'] = 366 * DAY}) do
    local condensed = key .. ':' .. step
    redis.call('UNLINK', condensed)
    create(condensed, kept, 128, agg .. ':' .. step)
    redis.call('TS.CREATERULE', key, condensed, 'AGGREGATION', agg, step == '1m' and 60000 or 3600000)
  end
end

local function sample(job, text)
  local words, names, points = split(text), {}, {}
  for i = 2, #words, 3 do
    local key = 'cs:ts:' .. words[i] .. ':' .. job
    names[#names + 1] = key
    points[#points + 1], points[#points + 2], points[#points + 3] = key, words[1], words[i + 2]
  end
  if #names == 0 then return end
  if redis.call('EXISTS', unpack(names)) < #names then
    for n, key in ipairs(names) do
      if redis.call('EXISTS', key) == 0 then make_series(key, job, words[3 * n - 1], words[3 * n]) end
    end
  end
  for _, reply in ipairs(redis.call('TS.MADD', unpack(points))) do
    if type(reply) == 'table' and reply.err and not string.find(reply.err, 'retention') then error(reply.err, 0) end
  end
end

local function revision_of(key)
  local found = redis.pcall('JSON.GET', key, '.rev')
  return type(found) == 'string' and tonumber(found) or nil
end

local function store(key, doc, idx, rev)
  redis.call('JSON.SET', key, '$', '{"idx":' .. idx .. ',"rev":' .. rev .. ',' .. string.sub(doc, 2))
end

local function drop_oldest(runs, keep)
  while redis.call('ZCARD', runs) > keep do
    redis.call('UNLINK', 'cs:exec:' .. redis.call('ZPOPMIN', runs)[1])
  end
end

local apply = {}

function apply.job(id, rev, doc, idx, _, _, _, guarded)
  local key = 'cs:job:' .. id
  if guarded then
    local newest = revision_of(key) or tonumber(redis.call('GET', 'cs:gone:' .. id) or '-1')
    if rev < newest then return 0 end
  end
  redis.call('DEL', 'cs:gone:' .. id)
  store(key, doc, idx, rev)
  return 1
end

function apply.job_deleted(id, rev)
  if rev < (revision_of('cs:job:' .. id) or 0) then return 0 end
  redis.call('SET', 'cs:gone:' .. id, rev, 'PX', DAY)
  local runs = 'cs:runs:' .. id
  for _, execution in ipairs(redis.call('ZRANGE', runs, 0, -1)) do redis.call('UNLINK', 'cs:exec:' .. execution) end
  redis.call('UNLINK', 'cs:job:' .. id, runs)
  return 1
end

function apply.execution(id, rev, doc, idx, samples, job, keep, guarded)
  local key, runs = 'cs:exec:' .. id, 'cs:runs:' .. job
  if guarded then
    local newest = revision_of(key)
    if newest and rev < newest then return 0 end
    if not newest and redis.call('EXISTS', 'cs:gone:' .. job) == 1 then return 1 end
  end
  if samples ~= '' then sample(job, samples) end
  local oldest = redis.call('ZRANGE', runs, 0, 0, 'WITHSCORES')[2]
  if oldest and tonumber(id) < tonumber(oldest) and redis.call('ZCARD', runs) >= keep then
    redis.call('UNLINK', key)
    return 1
  end
  store(key, doc, idx, rev)
  if redis.call('ZADD', runs, id, id) == 1 then drop_oldest(runs, keep) end
  return 1
end

function apply.note()
  return 1
end

-- ARGV: rebuild token or '', executions kept of a job, then nine words a change:
-- kind, id, revision, document, idx, head of the message, channels, samples, job. One answer a change:
-- 1 applied, 0 older than what is here, or a text saying why it could not be stored.
local function project(_, args)
  local token, keep = args[1], tonumber(args[2])
  local live = token == ''
  local epoch = redis.call('GET', 'cs:epoch')
  if live and not epoch then return redis.error_reply(NO_EPOCH) end
  if not live then
    if redis.call('GET', 'cs:rebuild') ~= token then return redis.error_reply('NOTOKEN the rebuild was taken over') end
    redis.call('PEXPIRE', 'cs:rebuild', 60000)
  end
  local answers = {}
  for i = 3, #args, STRIDE do
    local doc = args[i + 3]
    local ok, answer = pcall(apply[args[i]], args[i + 1], tonumber(args[i + 2]), doc, args[i + 4], args[i + 7],
      args[i + 8], keep, live)
    if not ok then answer = type(answer) == 'table' and answer.err or tostring(answer) end
    if live and answer ~= 0 then
      local tail = ',"doc":' .. (doc == '' and 'null' or doc)
      for _, channel in ipairs(split(args[i + 6])) do say(epoch, channel, args[i + 5], tail) end
    end
    answers[#answers + 1] = answer
  end
  return answers
end

local function append_lines(epoch, id, first, last, keep, life, lines)
  local key, channel = 'cs:log:' .. id, 'cs:ch:log:' .. id
  local threshold = string.format('%d', math.max(0, tonumber(last) - keep))
  local added = redis.pcall('XADD', key, 'MINID', '~', threshold, last .. '-0', 'first', first, 'lines', lines)
  if type(added) == 'table' and added.err then
    if string.find(added.err, 'equal or smaller') then return 0 end
    error(added.err, 0)
  end
  redis.call('PEXPIRE', key, life)
  say(epoch, channel, '"kind":"log","id":"' .. id .. '","first":' .. first .. ',"last":' .. last, ',"lines":' .. lines)
  redis.call('PEXPIRE', 'cs:seq:log:' .. id, life)
  return 1
end

-- ARGV: lines kept, lifetime in ms, then four words a batch: execution, number of the first line, of the last, lines as
-- a JSON list. The number of batches that were not here already.
local function append_log(_, args)
  local epoch = redis.call('GET', 'cs:epoch')
  if not epoch then return redis.error_reply(NO_EPOCH) end
  local added = 0
  for i = 3, #args, 4 do
    added = added + append_lines(epoch, args[i], args[i + 1], args[i + 2], tonumber(args[1]), args[2], args[i + 3])
  end
  return added
end

-- ARGV: instant as text, then channels. Repeats each channel's last number.
local function beat(_, args)
  local epoch = redis.call('GET', 'cs:epoch') or ''
  for i = 2, #args do
    local seq = redis.call('GET', 'cs:seq:' .. string.sub(args[i], 7)) or '0'
    redis.call('PUBLISH', args[i], '{"kind":"heartbeat","epoch":"' .. epoch .. '","seq":' .. seq
      .. ',"channel":"' .. args[i] .. '","at":"' .. args[1] .. '"}')
  end
  return #args - 1
end

redis.register_function('cs1_project', project)
redis.register_function('cs1_log', append_log)
redis.register_function('cs1_beat', beat)
