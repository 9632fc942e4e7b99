// Installs the Node.js package from a registry into an empty folder: node install.mjs FOLDER
import { install, nodePackages, registry } from './registry.mjs'

const { npm, close, said: getLog } = await registry()
try {
  await install(npm, await nodePackages(), process.argv[2], 'oauth-core')
} catch (error) {
  console.error(error.stderr ?? error, getLog())
  process.exitCode = 1
} finally {
  await close()
}
