// An origin for tests/integration/proxy_interop.py: node_origin.mjs [KEEP_ALIVE_MS]
// Its first line says where it is.
import { createHash } from "node:crypto";
import { createServer } from "node:http";

const LARGE = Buffer.alloc(4 << 20, Buffer.from(Array.from({ length: 251 }, (_, i) => i)));
const server = createServer();
let connections = 0;
let next; // called once somebody posts the next event

function sha256(bytes) {
    return createHash("sha256").update(bytes).digest("hex");
}

async function readAll(request) {
    const pieces = [];
    for await (const piece of request)
        pieces.push(piece);
    return Buffer.concat(pieces);
}

function json(response, value) {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(value));
}

// What came, as this side saw it.
async function seen(request, response) {
    const body = await readAll(request);
    json(response, {
        method: request.method, url: request.url, headers: request.headers,
        length: body.length, sha256: sha256(body), trailers: request.trailers, connections,
    });
}

function large(request, response) {
    response.setHeader("Content-Length", LARGE.length);
    response.end(LARGE);
}

function largeChunked(request, response) {
    for (let at = 0; at < LARGE.length; at += 100001)
        response.write(LARGE.subarray(at, at + 100001));
    response.end();
}

async function trailers(request, response) {
    const body = await readAll(request);
    response.setHeader("Trailer", "X-Sum");
    response.write(body);
    response.addTrailers({ "X-Sum": sha256(body) });
    response.end();
}

// One event, and another one after a POST to /next.
async function events(request, response) {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write("data: first\n\n");
    await new Promise((resolve) => { next = resolve; });
    response.end("data: second\n\n");
}

function postNext(request, response) {
    request.resume();
    next();
    response.writeHead(204).end();
}

// Before the body was read, which it never is.
function early(request, response) {
    request.pause();
    response.writeHead(413, { "Content-Length": 8, Connection: "close" });
    response.end("too long", () => request.socket.destroySoon());
}

// Closes after the response, of which the response said nothing.
function leave(request, response) {
    request.resume();
    response.on("finish", () => request.socket.destroySoon());
    response.end("left");
}

const IMAGE = Buffer.from("R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==", "base64");
const SCRIPT = "document.title = 'script ran';";
const PAGE = `<!DOCTYPE html><title>no script</title><img src="/image" id="image">
<script src="/script"></script><p>page</p>`;

function content(type, body) {
    return (request, response) => {
        response.setHeader("Content-Type", type);
        response.end(body);
    };
}

const handlers = {
    "/large": large, "/large/chunked": largeChunked, "/trailers": trailers, "/events": events,
    "/next": postNext, "/early": early, "/leave": leave,
    "/page": content("text/html", PAGE), "/image": content("image/gif", IMAGE),
    "/script": content("text/javascript", SCRIPT),
    "/missing": (_, response) => response.writeHead(404).end("nothing here"),
    "/moved": (_, response) => response.writeHead(302, { Location: "/seen" }).end(),
};

function handle(request, response) {
    (handlers[request.url] ?? seen)(request, response);
}

server.on("request", handle);
server.on("connection", () => { connections += 1; });

server.on("checkContinue", (request, response) => {
    if (request.url === "/refused") {
        response.writeHead(403, { Connection: "close" }).end("refused");
        return;
    }
    response.writeContinue();
    handle(request, response);
});

// Echoes, and says goodbye after the client's end.
server.on("upgrade", (request, socket, head) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" +
                 `Upgrade: ${request.headers.upgrade}\r\n\r\n`);
    socket.write(head);
    socket.on("data", (bytes) => socket.write(bytes));
    socket.on("end", () => socket.end("bye"));
    socket.on("error", () => socket.destroy());
});

if (process.argv[2])
    server.keepAliveTimeout = Number(process.argv[2]);
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
