// Hello world in every framework, and how its users start it. Each has four pages: `/` for everybody, `/me` for people who
// are signed in, `/pay` for those with a second factor, and `/fetch`, which calls an API in their name.
import { fileURLToPath } from 'node:url'
import path from 'node:path'

export const root = fileURLToPath(new URL('../../..', import.meta.url))
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target')
const web = path.join(root, 'tests/web')
const python = process.env.OAUTH_PYTHON ?? path.join(target, 'python/venv/bin/python')
const apps = path.join(root, 'bindings/python/tests/web_apps')
const node = process.execPath

/** A program that cargo has built. Its sessions are in memory: it is one process. */
const rust = (name, example) => ({
  name, command: [path.join(target, 'debug/examples', example)], env: { OAUTH_STORE: 'memory:' },
})

const ofPython = (name, ...args) => ({ name, command: [python, '-B', '-m', ...args], env: { PYTHONPATH: apps } })

/** Django, with a database of its own. */
const django = (name, ...command) => ({
  name,
  command: [python, '-B', ...command],
  env: { PYTHONPATH: apps },
  before: [python, '-B', path.join(apps, 'hello_django.py'), 'migrate', '-v', '0'],
})

const ofNode = (name, file) => ({ name, command: [node, path.join(web, 'node/hello', file)], cwd: path.join(web, 'node'), installed: true })

/** A runtime beside Node.js. */
const ofEdge = (name, ...command) => ({ name, command, cwd: path.join(web, 'edge/hello'), packages: path.join(web, 'edge'), installed: true })
const tool = (name) => path.join(web, 'edge/node_modules/.bin', name)

/** A framework with a build, in a folder of its own. */
const built = (name, folder, build, start, more) => ({
  name,
  cwd: path.join(web, folder),
  installed: true,
  build: build && [node, ...build],
  command: [node, ...start],
  ...more,
})

const two = ['--workers', '2', '--threads', '30', '-b', '127.0.0.1:{port}']

const next = (name, build, command, more) => built(name, 'next', build, command, { env: { NEXT_TELEMETRY_DISABLED: '1' }, ...more })

// Those that are built come first: others are checked meanwhile.
export const frameworks = [
  next('Next.js', ['node_modules/next/dist/bin/next', 'build'], ['node_modules/next/dist/bin/next', 'start', '-p', '{port}', '-H', '127.0.0.1']),
  // It compiles a page when somebody first asks for it, and runs once in a folder.
  next('Next.js, next dev', undefined, ['node_modules/next/dist/bin/next', 'dev', '-p', '{port}', '-H', '127.0.0.1'], { isAtTwinOnly: true }),
  built('React Router', 'react-router', ['node_modules/@react-router/dev/bin.js', 'build'],
    ['node_modules/@react-router/serve/bin.js', 'build/server/index.js'], { env: { NODE_ENV: 'production' } }),
  built('SvelteKit', 'sveltekit', ['node_modules/vite/bin/vite.js', 'build'],
    ['node_modules/vite/bin/vite.js', 'preview', '--port', '{port}', '--host', '127.0.0.1', '--strictPort']),
  rust('axum', 'hello_axum'),
  rust('tower, hyper', 'hello_hyper'),
  rust('actix', 'hello_actix'),
  ofPython('FastAPI', 'uvicorn', 'hello_fastapi:app', '--port', '{port}'),
  ofPython('Starlette', 'uvicorn', 'hello_starlette:app', '--port', '{port}'),
  ofPython('Litestar', 'uvicorn', 'hello_litestar:app', '--port', '{port}'),
  ofPython('Quart', 'hypercorn', 'hello_quart:app', '--bind', '127.0.0.1:{port}'),
  ofPython('ASGI', 'uvicorn', 'hello_asgi:app', '--port', '{port}'),
  ofPython('Flask, flask run', 'flask', '--app', 'hello_flask', 'run', '--port', '{port}'),
  ofPython('Flask, gunicorn', 'gunicorn', 'hello_flask:app', ...two),
  ofPython('Flask, gevent', 'gunicorn', 'hello_flask:app', '--worker-class', 'gevent', '--workers', '2', '-b', '127.0.0.1:{port}'),
  ofPython('WSGI, waitress', 'waitress', '--listen', '127.0.0.1:{port}', 'hello_wsgi:app'),
  django('Django, runserver', path.join(apps, 'hello_django.py'), 'runserver', '--noreload', '127.0.0.1:{port}'),
  django('Django, gunicorn', '-m', 'gunicorn', 'hello_django:wsgi', ...two),
  django('Django, uvicorn', '-m', 'uvicorn', 'hello_django:application', '--port', '{port}'),
  ofNode('Hono', 'hono.mjs'),
  ofNode('Express', 'express.mjs'),
  ofNode('Fastify', 'fastify.mjs'),
  ofNode('node:http', 'http.mjs'),
  ofEdge('Bun', tool('bun'), 'run', 'bun.mjs'),
  ofEdge('Deno', tool('deno'), 'run', '--no-lock', '--allow-net', '--allow-env', '--allow-read', '--allow-write', '--allow-ffi', '--allow-sys', 'deno.mjs'),
  ofEdge('workerd', node, 'workerd.mjs'),
]
