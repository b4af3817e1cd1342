/**
 * A program: an outbound HTTP proxy for tunnels and plain requests; `GET /reached` lists the hosts it was
 * asked for.
 */
import { createServer, request as httpRequest } from 'node:http';
import { connect } from 'node:net';

const reached = new Set<string>();

const server = createServer((request, response) => {
  if (request.url === '/reached') {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify([...reached]));
    return;
  }
  const target = new URL(request.url ?? '');
  reached.add(target.host);
  const { method, headers } = request;
  const outgoing = httpRequest(target, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  outgoing.on('error', () => response.writeHead(502).end());
  request.pipe(outgoing);
});

server.on('connect', ({ url = '' }, client) => {
  const { hostname, port, host } = new URL(`http://${url}`);
  reached.add(host);
  const upstream = connect(Number(port || 80), hostname, () => {
    client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    upstream.pipe(client).pipe(upstream);
  });
  for (const side of [client, upstream]) side.on('error', () => upstream.destroy());
  client.on('close', () => upstream.destroy());
});

server.listen(Number(process.argv[2]));
