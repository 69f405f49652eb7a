-- tarantool_draw.lua: the weighted draw as a stored procedure of Tarantool: draw(pool, draws)
--
--     tarantool tarantool_draw.lua PORT FOLDER STOCK
--
-- A pool is one tuple: name, id of the next draw, and of each item how many are left. A call reads it once
-- and writes it once, whatever the number of draws: one row of the log, whose sync it waits for (wal_mode
-- fsync; calls that wait at the same time share syncs). Nothing yields between the read and the write. The
-- answer is the first id and a string of a byte for each draw (0: nothing was in stock).

local ffi = require('ffi')
local port, folder, stock = arg[1], arg[2], tonumber(arg[3])

box.cfg{
    listen = '127.0.0.1:' .. port,
    wal_mode = 'fsync',
    wal_dir = folder, memtx_dir = folder, vinyl_dir = folder,
    log = folder .. '/log',
    checkpoint_interval = 0, -- no snapshot beside the measurement
    net_msg_max = 4096,      -- all calls of the load at a time
    readahead = 1024 * 1024,
}

local weights = {10, 50, 240, 1000, 3000, 5700}
local items = #weights
local pools = box.schema.space.create('pools', {if_not_exists = true})
pools:create_index('name', {parts = {1, 'string'}, if_not_exists = true})
pools:replace{'main', 1, stock, stock, stock, stock, stock, stock}

local random = math.random
local outcomes = ffi.new('uint8_t[?]', 100000)
math.randomseed(ffi.cast('uint32_t *', require('digest').urandom(4))[0])

local function pick(left, live, total, draws)
    for k = 0, draws - 1 do
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
end

function draw(pool, draws)
    local tuple = pools:get(pool)
    local first, left, live, total = tuple[2], {tuple:unpack(3, 2 + items)}, {}, 0
    for item = 1, items do
        left[item] = tonumber(left[item])
        live[item] = left[item] > 0 and weights[item] or 0
        total = total + live[item]
    end
    pick(left, live, total, draws)
    local answer = ffi.string(outcomes, draws) -- before the write, which lets other calls run
    if draws == 1 and outcomes[0] > 0 then
        pools:update(pool, {{'=', 2, first + 1}, {'=', 2 + outcomes[0], left[outcomes[0]]}})
    else
        pools:replace{pool, first + draws, unpack(left)}
    end
    return first, answer
end

-- How many have been given out, and the id that comes next: they must agree.
function given()
    local tuple, left = pools:get('main'), 0
    for item = 1, items do
        left = left + tuple[2 + item]
    end
    return items * stock - left, tuple[2]
end

box.schema.user.grant('guest', 'execute', 'universe', nil, {if_not_exists = true})
box.schema.user.grant('guest', 'read,write', 'space', 'pools', {if_not_exists = true})
print('ready')
io.flush()
