import { defineConfig } from "vite";

// The output is committed and CI compares it byte for byte: nothing in it may depend on the machine or the time.
export default defineConfig({
  base: "/",
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // a data: URL would need a wider Content-Security-Policy
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: true,
  },
});
