import { Buffer } from 'node:buffer';
import { hideCapabilities } from '../platform/redact.ts';
import { warmUp } from './warm-up.ts';

it('the warm-up goes all the way of a Pod that is sent through the cache', () => {
  const { response } = warmUp() as { response: { allowed: boolean; patch: string } };
  expect(response.allowed).toBe(true);
  const patch = JSON.parse(Buffer.from(response.patch, 'base64').toString()) as { value: unknown }[];
  expect(patch.map(({ value }) => hideCapabilities(String(value)))).toEqual(
    expect.arrayContaining([
      'localhost:7439/docker.io/library/nginx:latest',
      'localhost:7439/warm-up.tenant/ghcr.io/acme/app:7',
    ]),
  );
});
