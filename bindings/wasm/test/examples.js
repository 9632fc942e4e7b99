// Pages of the documentation, as they stand, with the servers moved to the twins.

import { readFileSync } from 'node:fs'

const IMPORTS = {
  'oauth-core-web': '/js/index.js',
  'oauth-core-web/react': '/js/react.js',
  'oauth-core-web/vue': '/js/vue.js',
  react: '/made/react.js',
  'react-dom/client': '/made/react.js',
  vue: '/node_modules/vue/dist/vue.esm-browser.prod.js',
}
const MAP = `<script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>`

/** React as one module of a browser's: it is published for bundlers only. */
function react() {
  const files = { react: 'react', scheduler: 'scheduler', 'react-dom': 'react-dom', 'react-dom/client': 'react-dom-client' }
  const modules = Object.entries(files).map(([name, file]) => {
    const folder = name.split('/')[0]
    const path = `../node_modules/${folder}/cjs/${file}.production.js`
    return `${JSON.stringify(name)}(exports) {\n${readFileSync(new URL(path, import.meta.url), 'utf8')}\n},`
  })
  return `const modules = {${modules.join('\n')}}
const known = {}
function require(name) {
  if (!known[name]) modules[name]((known[name] = {}))
  return known[name]
}
export const { createElement, StrictMode, useEffect, useState, useSyncExternalStore } = require('react')
export const { createRoot } = require('react-dom/client')`
}

/** The pages of a string. */
export const extractPages = (text) => [...text.matchAll(/^```html\n([^]*?)^```$/gm)].map(([, page]) => page)

/** The output that a page states: the comment after each `console.log`. */
export const expectedOutput = (page) =>
  [...page.matchAll(/^ *console\.log\(.*\) \/\/ (.+)$/gm)].map(([, text]) => text)

/** The text of a page, or of a part of it, with the URLs of the test servers. */
export const withTestServers = (harness, page) =>
  page
    .replaceAll('YOUR_CLIENT_ID', harness.configs.uservoice.clientId)
    .replaceAll("provider: 'uservoice',", `provider: 'uservoice', loopback: '${harness.twins.uservoice}',`)
    .replaceAll('https://app.example', harness.origin)
    .replaceAll('https://acme.uservoice.com', harness.twins.uservoice)
    .replaceAll('http://127.0.0.1:8080', harness.twins.generic)
    .replaceAll('http://127.0.0.1:5173', harness.origin)
    .replaceAll("issuer: 'https://bank.example',", `issuer: '${harness.twins.bank}', loopback: true,`)
    .replaceAll('https://bank.example', harness.twins.bank)

/** Serves a page at a path of this world. */
export const serve = (harness, path, page) => {
  harness.made[path] = () => `<!doctype html>${MAP}${page}`
  harness.made['/made/react.js'] ??= react
}
