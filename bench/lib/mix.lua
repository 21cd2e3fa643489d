-- What wrk is to send for `bench soak`: of everything that bench/http.c serves.  Each thread
-- has a random sequence of its own.

local function get(path)
    return wrk.format("GET", path)
end

local function post(size)
    return wrk.format("POST", "/echo", nil, string.rep("x", size))
end

local chunked_post = "POST /echo HTTP/1.1\r\nHost: bench\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"

local requests = {}
local large
local threads = 0

function setup(thread)
    threads = threads + 1
    thread:set("seed", threads)
end

function init()
    math.randomseed(seed)
    requests = {
        get("/users/42"), get("/api/v1/carts/5"), get("/api/v3/items/9/parts"), get("/files/1k"),
        get("/files/100k"), get("/events"), get("/chunked"), get("/slow"),
        post(1000), post(65536), chunked_post,
    }
    large = get("/files/10m")
end

-- One in 500 is large: it is worth a thousand others.
function request()
    return math.random(500) == 1 and large or requests[math.random(#requests)]
end

dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "report.lua")
