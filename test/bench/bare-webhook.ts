/**
 * A program: a webhook that knows its answers already. It gives Pods the very patches that ours gives, made
 * once for each size of a review, so that what the same load costs with it is what no webhook in Node.js
 * could undercut on this machine. `PORT`, `TLS_CERT` and `TLS_KEY` (PEM) come from the environment.
 */
import { createServer } from 'node:https';
import { silentLogger } from '../../platform/log.ts';
import { Metrics } from '../../platform/metrics.ts';
import { admissionMetrics } from '../../webhook/admission-metrics.ts';
import { respond } from '../../webhook/admission-response.ts';
import { CLUSTER_STATE } from '../fakes/cluster-state.ts';

const UID = /"uid":"([^"]+)"/;
const options = {
  clusterState: () => CLUSTER_STATE,
  metrics: admissionMetrics(new Metrics('bare'), () => true),
  log: silentLogger,
};
/** By the length of the review; the uid is left out. */
const answers = new Map<number, readonly string[]>();

function answerTo(review: string): string {
  const uid = UID.exec(review)?.[1] ?? '';
  const parts = answers.get(review.length) ?? JSON.stringify(respond(review, true, options)).split(uid);
  answers.set(review.length, parts);
  return parts.join(uid);
}

const { PORT, TLS_CERT = '', TLS_KEY = '' } = process.env;
const server = createServer({ cert: TLS_CERT, key: TLS_KEY }, (req, res) => {
  const chunks: Buffer[] = [];
  req.on('data', (chunk: Buffer) => chunks.push(chunk));
  req.on('end', () => {
    const body = answerTo(Buffer.concat(chunks).toString());
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    res.end(body);
  });
});
server.keepAliveTimeout = 120_000;
server.listen(Number(PORT));
