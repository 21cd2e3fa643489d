-- What wrk is to send, and how it reports: `wrk -s load.lua URL -- DEPTH BODY`.
--
-- DEPTH requests are written at once on each connection before an answer is
-- awaited; 1 is no pipelining.  With BODY above 0 they are POSTs with so many bytes.

function init(args)
    local depth, body = tonumber(args[1]) or 1, tonumber(args[2]) or 0
    if body > 0 then
        wrk.method = "POST"
        wrk.body = string.rep("x", body)
    end
    -- Without a function `request`, wrk sends one prepared request and does not
    -- enter Lua again.
    if depth > 1 then
        local batch = string.rep(wrk.format(), depth)
        request = function() return batch end
    end
end

dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "report.lua")
