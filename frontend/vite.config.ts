import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

// `vite build` makes the pages, `vite build --mode embed` the element as one ES module beside them.
export default defineConfig(({ mode }) => {
  const root = import.meta.dirname;
  const shared = { test: { include: ['src/**/*.test.ts'], testTimeout: 120_000 } }; // a busy machine is no failure
  if (mode === 'embed')
    return {
      ...shared,
      define: { 'process.env.NODE_ENV': '"production"' },
      publicDir: false as const,
      build: {
        emptyOutDir: false,
        lib: { entry: resolve(root, 'src/element/embed.ts'), formats: ['es' as const], fileName: () => 'embed.js' },
      },
    };
  return {
    ...shared,
    build: {
      emptyOutDir: false, // dist/.gitkeep stays, so that the Go package always has a folder to embed
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      rollupOptions: { input: { index: resolve(root, 'index.html'), document: resolve(root, 'document.html') } },
    },
  };
});
