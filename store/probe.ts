/** Asks whether an instance of distribution works, through its debug port, which writes no access log. */
import { request } from 'undici';

/** For a response over loopback, in milliseconds. */
const PROBE_TIMEOUT_MS = 5_000;

/** Whether the process behind the debug port responds. */
export async function answers(debugPort: number): Promise<boolean> {
  return (await debugPage(debugPort, '/debug/health')) !== undefined;
}

/** A page of distribution's debug server; undefined when the server does not give it. */
export async function debugPage(debugPort: number, path: string): Promise<string | undefined> {
  const timeouts = { headersTimeout: PROBE_TIMEOUT_MS, bodyTimeout: PROBE_TIMEOUT_MS };
  try {
    const { statusCode, body } = await request(`http://127.0.0.1:${debugPort}${path}`, {
      ...timeouts,
      reset: true,
    });
    const text = await body.text();
    return statusCode === 200 ? text : undefined;
  } catch {
    return undefined;
  }
}
