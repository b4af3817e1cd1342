import js from '@eslint/js';
import tseslint from 'typescript-eslint';
import rooms, { ROOMS } from './eslint.rooms.js';

export default tseslint.config(
  { ignores: ['.build/', '.bench/', 'node_modules/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    plugins: { rooms },
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: {
        project: ['*/tsconfig.json', 'registry/*/tsconfig.json'],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      complexity: ['error', 14],
      'max-depth': ['error', 4],
      'max-lines': ['error', { max: 350, skipBlankLines: true, skipComments: true }],
      'max-params': ['error', 5],
      'no-duplicate-imports': 'error',
      'rooms/no-cycle': 'error',
      'no-restricted-syntax': [
        'error',
        {
          // A constructor cannot be `#`.
          selector:
            ':matches(PropertyDefinition, MethodDefinition[kind!="constructor"])[accessibility="private"]',
          message: 'Write `#name`: it stays private when the object is logged or serialized.',
        },
      ],
      '@typescript-eslint/explicit-member-accessibility': ['error', { accessibility: 'no-public' }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  {
    files: ['**/*.ts'],
    ignores: ['**/*.test.ts'],
    plugins: { rooms },
    // The table is given as an option so that ESLint's cache notices when it changes.
    rules: { 'rooms/direction': ['error', ROOMS] },
  },
  {
    // Prettier wraps code, but not comments. (The folders that are left out wrap theirs too.)
    files: ['{api,build,platform,proxy,store,test}/**/*.ts', '*.js'],
    rules: {
      'max-len': ['error', { code: 1_000, comments: 110, ignoreUrls: true, ignorePattern: '(eslint|@ts)-' }],
    },
  },
  {
    files: ['**/*.test.ts', 'test/**/*.ts'],
    rules: { 'max-lines': 'off', 'max-params': 'off' },
  },
);
