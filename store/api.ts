/** The supervisor's HTTP API, through which the controller asks for the status and orders collections. */
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { createLocalJWKSet, jwtVerify } from 'jose';
import type { Logger } from '../platform/log.ts';
import { STORE_SUPERVISOR_AUDIENCE, STORE_TOKEN_ISSUER } from '../registry/core/store-token.ts';
import { INSTANCE_ROLES } from './distribution-config.ts';
import type { Supervisor } from './supervisor.ts';
import type { KeySet, Trust } from './trust.ts';

export interface ApiOptions {
  readonly supervisor: Pick<Supervisor, 'status' | 'requestCollection' | 'registryMetrics'>;
  /** The keys of both logins; the writing one signs the calls. */
  readonly trust: { get(): Trust };
  readonly log: Logger;
}

/**
 * With the writing login: `GET /status`, and `POST /collect` (202, or 200 when a collection has already been
 * ordered). Without a login: `GET /healthz`, and distribution's own metrics at `/metrics/reader` and
 * `/metrics/writer`.
 */
export function supervisorApi({ supervisor, trust, log }: ApiOptions): Express {
  const app = express().disable('x-powered-by');
  app.get('/healthz', (_req, res) => {
    res.type('text').send('ok\n');
  });
  app.get('/metrics/:role', async (req, res, next) => {
    const role = INSTANCE_ROLES.find((name) => name === req.params.role);
    if (!role) {
      next();
      return;
    }
    const metrics = await supervisor.registryMetrics(role);
    res
      .status(metrics === undefined ? 503 : 200)
      .type('text')
      .send(metrics ?? 'the registry does not answer\n');
  });
  app.use(requireWriter(trust, log));
  app.get('/status', async (_req, res) => {
    res.json(await supervisor.status());
  });
  app.post('/collect', async (_req, res) => {
    const accepted = supervisor.requestCollection();
    res.status(accepted ? 202 : 200).json(await supervisor.status());
  });
  app.use((_req, res) => {
    res.status(404).json({ error: 'there is nothing here; try GET /status' });
  });
  app.use(internalError(log));
  return app;
}

/** RFC 6750: a bearer token, here a JWT signed with ES256 by the writing login's key. */
function requireWriter(trust: ApiOptions['trust'], log: Logger): RequestHandler {
  return async (req, res, next) => {
    const token = /^Bearer ([\w.-]+)$/i.exec(req.headers.authorization ?? '')?.[1];
    if (token && (await signedBy(trust.get().writer, token, log))) {
      next();
      return;
    }
    res.set('WWW-Authenticate', `Bearer${token ? ' error="invalid_token"' : ''}`);
    res.status(401).json({ error: 'a token signed by the writing login is needed' });
  };
}

async function signedBy(keys: KeySet, token: string, log: Logger): Promise<boolean> {
  try {
    await jwtVerify(token, createLocalJWKSet(keys), {
      algorithms: ['ES256'],
      issuer: STORE_TOKEN_ISSUER,
      audience: STORE_SUPERVISOR_AUDIENCE,
      requiredClaims: ['exp'],
    });
    return true;
  } catch (error) {
    log.warn('token refused', { error });
    return false;
  }
}

function internalError(log: Logger): ErrorRequestHandler {
  return (error, req, res, _next) => {
    log.error('request failed', { path: req.path, error });
    res.status(500).json({ error: 'internal error' });
  };
}
