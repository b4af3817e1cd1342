import { storePlace } from './store-place.ts';

it.each([
  ['http://10.96.0.7:5000', 'http://10.96.0.7:5000', ''],
  ['https://zot.example.com/', 'https://zot.example.com', ''],
  ['https://harbor.example/project', 'https://harbor.example', 'project/'],
  ['https://harbor.example/a/b-c/', 'https://harbor.example', 'a/b-c/'],
])('%s is at %s, and repositories begin with "%s"', (text, origin, prefix) => {
  const place = storePlace(new URL(text));
  expect([place.url.origin, place.prefix]).toEqual([origin, prefix]);
});

it.each(['https://harbor.example/Project', 'https://harbor.example/a//b', 'https://harbor.example/a%20b'])(
  '%s is refused',
  (text) => {
    expect(() => storePlace(new URL(text))).toThrow('cannot begin');
  },
);
