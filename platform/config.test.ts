import { ConfigError, defineConfig, describeConfig, loadConfig } from './config.ts';
import { boolean, bytes, duration, httpUrl, integer, list, listenAddress, oneOf, text } from './settings.ts';

const declaration = defineConfig({
  listen: { env: 'LARDER_LISTEN', default: ':8443', help: 'where to listen', schema: listenAddress() },
  store: { env: 'LARDER_STORE_READER_URL', help: 'the URL of the reader', schema: httpUrl() },
  globs: { env: 'LARDER_GLOBS', default: '', help: 'globs', schema: list() },
});

describe('settings', () => {
  it('come from the environment, with defaults for what is absent or empty', () => {
    const settings = loadConfig(declaration, {
      LARDER_STORE_READER_URL: ' http://10.96.0.7:5000 ',
      LARDER_LISTEN: '',
    });
    expect(settings).toEqual({ listen: { port: 8443 }, store: new URL('http://10.96.0.7:5000'), globs: [] });
  });

  it('are all judged at once, in sentences that name the variable and repeat no value', () => {
    let error: unknown;
    try {
      loadConfig(declaration, { LARDER_LISTEN: 'hunter2' });
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).problems).toEqual([
      'LARDER_LISTEN must be an address to listen on such as :8080, 127.0.0.1:7439 or [::1]:7439.',
      'LARDER_STORE_READER_URL is not set: it gives the URL of the reader.',
    ]);
  });

  it('are all in the help', () => {
    expect(describeConfig('webhook', 'rewrites images', declaration)).toBe(
      [
        'The webhook of Larder: rewrites images',
        '',
        'Settings (environment variables):',
        '  LARDER_LISTEN',
        '      where to listen (default: :8443)',
        '  LARDER_STORE_READER_URL',
        '      the URL of the reader',
        '  LARDER_GLOBS',
        '      globs (default: empty)',
        '',
      ].join('\n'),
    );
  });
});

describe('the text of a setting', () => {
  it.each([
    [duration(), '0', 0],
    [duration(), '250ms', 250],
    [duration(), '1h30m', 5_400_000],
    [bytes(), '1048576', 1_048_576],
    [bytes(), '2Gi', 2 ** 31],
    [integer(1, 10), '10', 10],
    [boolean(), 'false', false],
    [list(), ' a, b,,', ['a', 'b']],
    [listenAddress(), '[::1]:7439', { host: '::1', port: 7439 }],
    [listenAddress(), ':8080', { port: 8080 }],
    [oneOf('a', 'b'), 'b', 'b'],
    [text(), 'x', 'x'],
  ])('%# %s is understood', (schema, given, expected) => {
    expect(schema.parse(given)).toEqual(expected);
  });

  it.each([
    [duration(), '5'],
    [duration(), '-1s'],
    [duration(), '1s '],
    [bytes(), '1GB'],
    [integer(1, 10), '11'],
    [integer(), '1.5'],
    [boolean(), 'yes'],
    [listenAddress(), '8080'],
    [listenAddress(), '1.2.3.4:70000'],
    [httpUrl(), 'ftp://x'],
    [httpUrl(), 'http://user:pw@x'],
    [httpUrl(), 'x'],
    [oneOf('a', 'b'), 'c'],
  ])('%# %s is refused', (schema, given) => {
    expect(schema.safeParse(given).success).toBe(false);
  });
});
