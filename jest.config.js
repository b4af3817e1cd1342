/** Unit tests stand beside the code they specify; what crosses folders stands under test/. */
const common = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2024', parser: { syntax: 'typescript' } }, module: { type: 'es6' } },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/.build/'],
};

export default {
  // A deadline for what hangs, not a measure of speed: a machine may be busy with other things. Jest heeds it
  // here only, not in a project.
  testTimeout: 30_000,
  projects: [
    {
      ...common,
      displayName: 'unit',
      testMatch: ['<rootDir>/**/*.test.ts'],
      testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/integration/', '<rootDir>/test/e2e/'],
    },
    // Real programs (a registry, an API server) without a whole cluster.
    { ...common, displayName: 'integration', testMatch: ['<rootDir>/test/integration/**/*.test.ts'] },
    // What uses Larder shares one real cluster; what rolls, replaces or removes Larder has another.
    { ...common, displayName: 'e2e', testMatch: ['<rootDir>/test/e2e/*.test.ts'] },
    { ...common, displayName: 'lifecycle', testMatch: ['<rootDir>/test/e2e/lifecycle/*.test.ts'] },
  ],
};
