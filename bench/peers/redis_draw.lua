#!lua name=draws
-- redis_draw.lua: the weighted draw as a Redis function: FCALL draw 1 <pool> <draws>
--
-- A pool is a hash: `id` (of the next draw) and a field for each item, how many are left. The weights do not
-- change here, so that they stand in the function. Stock is read once and written once a call, whatever the
-- number of draws; the answer is the first id and a string of a byte for each draw (0: nothing was in stock).

local weights = {10, 50, 240, 1000, 3000, 5700}
local items = #weights

local function read(pool)
    local row = redis.call('HMGET', pool, 'id', '1', '2', '3', '4', '5', '6')
    local left, live, total = {}, {}, 0
    for i = 1, items do
        left[i] = tonumber(row[i + 1])
        live[i] = left[i] > 0 and weights[i] or 0
        total = total + live[i]
    end
    return tonumber(row[1]), left, live, total
end

local function draw(keys, args)
    local pool, draws = keys[1], tonumber(args[1])
    local first, left, live, total = read(pool)
    local random = math.random
    local outcomes = {}
    for k = 1, draws do
        local item = 0
        if total > 0 then
            local r = random(total)
            item = items -- the heaviest stands last, so that most walks are short
            while r > live[item] do
                r = r - live[item]
                item = item - 1
            end
            left[item] = left[item] - 1
            if left[item] == 0 then
                total = total - live[item]
                live[item] = 0
            end
        end
        outcomes[k] = item
    end
    if draws == 1 and outcomes[1] > 0 then
        redis.call('HSET', pool, 'id', first + 1, tostring(outcomes[1]), left[outcomes[1]])
    else
        redis.call('HSET', pool, 'id', first + draws, '1', left[1], '2', left[2], '3', left[3],
                   '4', left[4], '5', left[5], '6', left[6])
    end
    return {first, string.char(unpack(outcomes))}
end

redis.register_function('draw', draw)
