// Owns what the JavaScript of the explorer is checked for: faults, not style.
// ESLint 9, because 10 needs a newer Node.js than Debian 12 has.

import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["**/*.min.js"] },
  js.configs.recommended,
  {
    files: ["service/explorer/**/*.js"],
    languageOptions: { globals: globals.browser },
  },
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "array-callback-return": "error",
      eqeqeq: "error",
      "no-implicit-coercion": "error",
      "no-shadow": ["error", { hoist: "all" }],
      "no-unused-vars": ["error", { caughtErrors: "all" }],
      "no-use-before-define": ["error", { functions: false, variables: false }],
      "no-var": "error",
      "prefer-const": "error",
    },
  },
];
