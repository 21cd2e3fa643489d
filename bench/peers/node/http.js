// The peer of bench/http on Node's http and https: GET / and /users/... answer 13 bytes, POST
// /echo answers the request's body, /block blocks for 50 ms, and below /files/ lies a directory.
// Usage: node http.js PORT PROCESSES DIRECTORY [CHAIN KEY]
//
// As nodejs.org advises: the cluster module, with a process for each CPU (api/cluster.html),
// NODE_ENV=production, and pipe, which passes bodies on with their back-pressure
// (learn/modules/backpressuring-in-streams).  Connections live as long as the benchmark.
'use strict';

const cluster = require('node:cluster');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const path = require('node:path');

const [port, processes, directory, chain, key] = process.argv.slice(2);
const HELLO = Buffer.from('Hello, World!');
const HOUR_MS = 3600 * 1000;
const BLOCK_MS = 50;
const OTHER_ROUTES = 44;

function hello(request, response) {
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': HELLO.length });
  response.end(HELLO);
}

function echo(request, response) {
  const length = request.headers['content-length'];
  response.writeHead(200, length === undefined ? {} : { 'Content-Length': length });
  request.pipe(response);
}

function block(request, response) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCK_MS);
  hello(request, response);
}

function file(request, response) {
  const name = path.join(directory, path.basename(request.url));
  fs.stat(name, (error, stat) => {
    if (error) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': stat.size });
    fs.createReadStream(name).on('error', () => response.destroy()).pipe(response);
  });
}

const routes = new Map([['', hello], ['users', hello], ['echo', echo], ['files', file],
  ['block', block]]);
for (let i = 0; i < OTHER_ROUTES; i++)
  routes.set(`other${i}`, hello);

function handle(request, response) {
  const end = request.url.slice(1).search(/[/?]/);
  const first = end < 0 ? request.url.slice(1) : request.url.slice(1, end + 1);
  const route = routes.get(first);
  if (route)
    route(request, response);
  else
    response.writeHead(404).end();
}

function serve() {
  const options = { keepAliveTimeout: HOUR_MS, headersTimeout: HOUR_MS + 1000, requestTimeout: 0 };
  const server = chain
    ? https.createServer({ ...options, cert: fs.readFileSync(chain), key: fs.readFileSync(key) },
      handle)
    : http.createServer(options, handle);
  server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
}

if (cluster.isPrimary && Number(processes) > 1) {
  for (let i = 0; i < Number(processes); i++)
    cluster.fork();
} else {
  serve();
}
