import { parseAccessLog } from './access-log.ts';

const line =
  '10.77.0.2:41234 - - [21/Nov/2026:03:20:15 +0000] "GET /v2/team/app/blobs/sha256:ab HTTP/1.1" 206 1048576 "" "containerd/v2.2.1"';

it('reads what was asked, by whom, and what was answered', () => {
  expect(parseAccessLog(`${line}\n`)).toEqual([
    {
      remote: '10.77.0.2:41234',
      time: new Date('2026-11-21T03:20:15Z'),
      method: 'GET',
      path: '/v2/team/app/blobs/sha256:ab',
      status: 206,
      bytes: 1048576,
      userAgent: 'containerd/v2.2.1',
    },
  ]);
});

it('passes over what is no access, and a line that is not written to its end', () => {
  expect(parseAccessLog(`time="…" level=info msg="listening"\n${line}\n${line.slice(0, 60)}`)).toHaveLength(
    1,
  );
});
