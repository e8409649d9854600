import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/', 'dist-broken/', 'src/gen/', 'node_modules/', 'test/histories/'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommended],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      eqeqeq: 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/consistent-type-imports': [
        'error',
        { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-non-null-assertion': 'off',
      'no-restricted-properties': [
        'error',
        {
          object: 'process',
          property: 'env',
          message: 'configuration is read in src/config.ts; mains hand process.env to it',
        },
      ],
    },
  },
  {
    // Runs inside Temporal's deterministic sandbox.
    files: ['workflows/**/*.ts'],
    rules: {
      'no-restricted-globals': ['error', 'process', 'Buffer', 'require', 'fetch'],
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: '^(node:|(?!@temporalio/(workflow|common)$)[^.])',
              message: 'workflow code imports @temporalio/workflow, @temporalio/common and workflows/ only',
            },
          ],
        },
      ],
    },
  },
  {
    files: ['src/mains/**/*.ts', 'src/agent/main.ts', 'test/**/*.ts', 'src/setup/**/*.ts'],
    rules: { 'no-restricted-properties': 'off' },
  },
);
