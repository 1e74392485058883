#!lua name=chronos2
-- What must happen in one piece on the server: a document guarded by its revision, its samples, a channel's next
-- number and the message that carries it. Everything is refused while cs:epoch is absent, except for who rebuilds.
--
-- Long strings are dear here: each one made is hashed and kept until it is collected. So documents come as they are
-- stored, messages are written only where somebody listens, and samples are added for the whole batch at once.

local LINE = '^(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.*)$'
local DAY = 86400000
local POINTS = 3000
local OWN_FIGURES = 50
local NO_EPOCH = 'NOEPOCH the live picture is absent; rebuild it'

local function explained(failure)
  return type(failure) == 'table' and failure.err or tostring(failure)
end

local function split(text)
  local words = {}
  for word in string.gmatch(text, '%S+') do words[#words + 1] = word end
  return words
end

-- Who listens, and each channel's last number: asked once in a call, for nobody comes or goes while it runs.
local function open_voice(epoch)
  return {epoch = epoch, everywhere = redis.call('PUBSUB', 'NUMPAT') > 0, heard = {}, said = {}, last = {}}
end

local function is_heard(voice, channel)
  local heard = voice.heard[channel]
  if heard == nil then
    heard = voice.everywhere or redis.call('PUBSUB', 'NUMSUB', channel)[2] > 0
    voice.heard[channel] = heard
  end
  return heard
end

local function say(voice, channel, head, tail)
  local said = (voice.said[channel] or 0) + 1
  voice.said[channel] = said
  if not is_heard(voice, channel) then return end
  local last = voice.last[channel]
  if not last then
    last = tonumber(redis.call('GET', 'cs:seq:' .. string.sub(channel, 7)) or '0')
    voice.last[channel] = last
  end
  redis.call('PUBLISH', channel, '{' .. head .. ',"epoch":"' .. voice.epoch .. '","seq":'
    .. string.format('%d', last + said) .. ',"channel":"' .. channel .. '"' .. tail .. '}')
end

local function close_voice(voice)
  for channel, said in pairs(voice.said) do redis.call('INCRBY', 'cs:seq:' .. string.sub(channel, 7), said) end
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

-- Points that wait to be added: three words each for TS.MADD, and what each of them is of.
local function open_samples(metrics)
  return {metrics = split(metrics), points = {}, marks = {}}
end

local function refusal(reply)
  local said = type(reply) == 'table' and reply.err
  return said and not string.find(said, 'retention') and said
end

local function try_samples(batch, points, marks, answers)
  for n, reply in ipairs(redis.call('TS.MADD', unpack(points))) do
    local mark, key, refused = marks[n], points[3 * n - 2], refusal(reply)
    if refused then
      if redis.call('EXISTS', key) == 0 then
        make_series(key, mark.job, mark.name, mark.agg)
      end
      refused = refusal(redis.pcall('TS.ADD', key, points[3 * n - 1], points[3 * n]))
    end
    if refused then answers[mark.answer] = refused end
  end
end

local function add_samples(batch, answers)
  local points, marks = batch.points, batch.marks
  if #points == 0 then return end
  batch.points, batch.marks = {}, {}
  local ok, failure = pcall(try_samples, batch, points, marks, answers)
  if not ok then
    for _, mark in ipairs(marks) do answers[mark.answer] = explained(failure) end
  end
end

-- A job may name its own figures as it likes, so only so many of its names get a series.
local function is_kept(job, name)
  local kept = 'cs:kpis:' .. job
  if redis.call('SISMEMBER', kept, name) == 1 then return true end
  return redis.call('SCARD', kept) < OWN_FIGURES and redis.call('SADD', kept, name) == 1
end

local function sample(batch, job, text, answer)
  local words, points, marks = split(text), batch.points, batch.marks
  for i = 2, #words do
    local name, agg, value = batch.metrics[2 * i - 3], batch.metrics[2 * i - 2], words[i]
    if not name then
      name, value = string.match(value, '^(.-)=(.*)$')
      agg = 'avg'
      if not is_kept(job, name) then value = '-' end
    end
    if value ~= '-' then
      local n = #points
      points[n + 1] = 'cs:ts:' .. name .. ':' .. job
      points[n + 2], points[n + 3] = words[1], value
      marks[#marks + 1] = {job = job, name = name, agg = agg, answer = answer}
    end
  end
end

local function revision_of(key)
  local found = redis.pcall('JSON.GET', key, '.rev')
  return type(found) == 'string' and tonumber(found) or nil
end

local function drop_oldest(runs, keep)
  while redis.call('ZCARD', runs) > keep do
    redis.call('UNLINK', 'cs:exec:' .. redis.call('ZPOPMIN', runs)[1])
  end
end

local apply = {}

function apply.job(change, batch)
  local key, gone = 'cs:job:' .. change.id, 'cs:gone:' .. change.id
  if batch.live then
    local newest = revision_of(key) or tonumber(redis.call('GET', gone) or '-1')
    if change.rev < newest then return 0 end
  end
  redis.call('DEL', gone)
  redis.call('JSON.SET', key, '$', change.stored)
  return 1
end

function apply.job_deleted(change)
  local key, runs = 'cs:job:' .. change.id, 'cs:runs:' .. change.id
  if change.rev < (revision_of(key) or 0) then return 0 end
  redis.call('SET', 'cs:gone:' .. change.id, change.rev, 'PX', DAY)
  for _, execution in ipairs(redis.call('ZRANGE', runs, 0, -1)) do redis.call('UNLINK', 'cs:exec:' .. execution) end
  redis.call('UNLINK', key, runs)
  return 1
end

function apply.execution(change, batch)
  local key, runs = 'cs:exec:' .. change.id, 'cs:runs:' .. change.job
  local newest = batch.live and revision_of(key)
  if newest and change.rev < newest then return 0 end
  if batch.live and not newest and redis.call('EXISTS', 'cs:gone:' .. change.job) == 1 then return 1 end
  if change.samples ~= '' then sample(batch.samples, change.job, change.samples, change.answer) end
  if redis.call('ZCARD', runs) >= batch.keep then
    local oldest = redis.call('ZRANGE', runs, 0, 0, 'WITHSCORES')[2]
    if oldest and tonumber(change.id) < tonumber(oldest) then
      redis.call('UNLINK', key)
      return 1
    end
  end
  redis.call('JSON.SET', key, '$', change.stored)
  if not newest and redis.call('ZADD', runs, change.id, change.id) == 1 then drop_oldest(runs, batch.keep) end
  return 1
end

function apply.note()
  return 1
end

-- Kept in SQL alone, and told: there are few.
apply.insight = apply.note

-- Writes one change; returns the answer for it. `line` is what live/spelling.py makes.
local function change_one(batch, line, stored, answer)
  local kind, id, rev, at, audience, cut, job, samples = string.match(line, LINE)
  local change = {id = id, rev = tonumber(rev), stored = stored, job = job, samples = samples, answer = answer}
  local ok, result = pcall(apply[kind], change, batch)
  if not ok then result = explained(result) end
  if not batch.live or result == 0 then return result end
  local channels = batch.audiences[audience] or split(audience)
  batch.audiences[audience] = channels
  local head, tail
  for _, channel in ipairs(channels) do
    if not head and is_heard(batch.voice, channel) then
      head = '"kind":"' .. kind .. '","id":"' .. id .. '","version":' .. rev .. ',"at":"' .. at .. '"'
      tail = ',"doc":' .. (stored == '' and 'null' or '{' .. string.sub(stored, cut + 1))
    end
    say(batch.voice, channel, head, tail)
  end
  return result
end

-- ARGV: rebuild token or '', executions kept of a job, each metric and how it is condensed, then two words a change: a
-- line and the document as it is stored. One answer a change: 1 applied, 0 older than what is here, or a text saying why
-- it could not be stored.
local function project(_, args)
  local token = args[1]
  local live = token == ''
  local epoch = redis.call('GET', 'cs:epoch')
  if live and not epoch then return redis.error_reply(NO_EPOCH) end
  if not live then
    if redis.call('GET', 'cs:rebuild') ~= token then return redis.error_reply('NOTOKEN the rebuild was taken over') end
    redis.call('PEXPIRE', 'cs:rebuild', 60000)
  end
  local batch = {live = live, keep = tonumber(args[2]), samples = open_samples(args[3]), audiences = {},
    voice = live and open_voice(epoch)}
  local answers = {}
  for i = 4, #args, 2 do
    answers[#answers + 1] = change_one(batch, args[i], args[i + 1], #answers + 1)
    if #batch.samples.points >= POINTS then add_samples(batch.samples, answers) end
  end
  add_samples(batch.samples, answers)
  if live then close_voice(batch.voice) end
  return answers
end

local function append_lines(voice, id, first, last, keep, life, lines)
  local key, channel = 'cs:log:' .. id, 'cs:ch:log:' .. id
  local threshold = string.format('%d', math.max(0, tonumber(last) - keep))
  local added = redis.pcall('XADD', key, 'MINID', '~', threshold, last .. '-0', 'first', first, 'lines', lines)
  if type(added) == 'table' and added.err then
    if string.find(added.err, 'equal or smaller') then return 0 end
    error(added.err, 0)
  end
  redis.call('PEXPIRE', key, life)
  local tail = is_heard(voice, channel) and ',"lines":' .. lines
  say(voice, channel, '"kind":"log","id":"' .. id .. '","first":' .. first .. ',"last":' .. last, tail)
  return 1
end

-- ARGV: lines kept, lifetime in ms, then four words a batch: execution, number of the first line, of the last, lines as
-- a JSON list. The number of batches that were not here already.
local function append_log(_, args)
  local epoch = redis.call('GET', 'cs:epoch')
  if not epoch then return redis.error_reply(NO_EPOCH) end
  local added, voice, failure = 0, open_voice(epoch), nil
  for i = 3, #args, 4 do
    local ok, answer = pcall(append_lines, voice, args[i], args[i + 1], args[i + 2], tonumber(args[1]), args[2],
      args[i + 3])
    if ok then added = added + answer else failure = failure or explained(answer) end
  end
  close_voice(voice)
  for channel in pairs(voice.said) do redis.call('PEXPIRE', 'cs:seq:' .. string.sub(channel, 7), args[2]) end
  return failure and redis.error_reply(failure) or added
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

redis.register_function('cs2_project', project)
redis.register_function('cs2_log', append_log)
redis.register_function('cs2_beat', beat)
