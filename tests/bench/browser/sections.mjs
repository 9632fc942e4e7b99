// Where the bytes of a WebAssembly module go: its sections, and its functions by the crate they
// come from. The module must have its name section, as cargo leaves it; what only wasm-bindgen
// reads of it is left out, for no page loads that.

const CODE = 10
const IMPORT = 2

/** A cursor over bytes that knows LEB128. */
class Cursor {
  constructor(bytes, at = 0, end = bytes.length) {
    Object.assign(this, { bytes, at, end })
  }

  get isOver() { return this.at >= this.end }
  byte() { return this.bytes[this.at++] }

  number() {
    let [value, shift, byte] = [0, 1, 0]
    do {
      byte = this.byte()
      value += (byte & 127) * shift
      shift *= 128
    } while (byte & 128)
    return value
  }

  part(length) {
    const part = new Cursor(this.bytes, this.at, this.at + length)
    this.at += length
    return part
  }

  text() {
    const { bytes, at, end } = this.part(this.number())
    return new TextDecoder().decode(bytes.subarray(at, end))
  }
}

const SECTIONS = ['custom', 'type', 'import', 'function', 'table', 'memory', 'global', 'export', 'start', 'element', 'code', 'data', 'data count', 'tag']

/** Every section: its name, its size and a cursor over its content. */
function sections(bytes) {
  const module = new Cursor(bytes, 8)
  const found = []
  while (!module.isOver) {
    const id = module.byte()
    const size = module.number()
    const content = module.part(size)
    const name = id === 0 ? `custom ${new Cursor(bytes, content.at, content.end).text()}` : SECTIONS[id]
    found.push({ id, name, size, content })
  }
  return found
}

function importedFunctions(content) {
  const limits = () => {
    const flags = content.byte()
    content.number()
    if (flags & 1) content.number()
  }
  let functions = 0
  for (let remaining = content.number(); remaining > 0; remaining -= 1) {
    content.text()
    content.text()
    const kind = content.byte()
    if (kind === 0) functions += 1
    if (kind === 0) content.number()
    else if (kind === 1) { content.byte(); limits() }
    else if (kind === 2) limits()
    else if (kind === 3) { content.byte(); content.byte() }
    else { content.byte(); content.number() }
  }
  return functions
}

function functionNames(content) {
  const names = new Map()
  content.text()
  while (!content.isOver) {
    const id = content.byte()
    const part = content.part(content.number())
    if (id !== 1) continue
    for (let remaining = part.number(); remaining > 0; remaining -= 1) names.set(part.number(), part.text())
  }
  return names
}

/** The identifiers in a mangled name, in order; both manglings write each with its length. */
function identifiers(name) {
  const found = []
  let rest = name.replace(/^_ZN|^_R/, '')
  while (rest) {
    // Between them, the newer one has hashes of crates, numbers of impls, and back references.
    const between = /^(?:[sB][0-9A-Za-z]*_|\D)/.exec(rest)
    const length = between ? null : /^(\d+)_?/.exec(rest)
    if (length) found.push(rest.slice(length[0].length, length[0].length + Number(length[1])))
    rest = rest.slice(length ? length[0].length + Number(length[1]) : between[0].length)
  }
  return found
}

const OURS = ['oauth_core_web', 'oauth_facade', 'oauth_core']
const OTHERS = ['serde_json', 'serde_core', 'http', 'httpdate', 'bytes', 'base64', 'js_sys', 'wasm_bindgen', 'dlmalloc', 'memchr', 'itoa', 'zmij', 'alloc', 'std', 'core', 'compiler_builtins']
const CRATES = [...OURS, ...OTHERS]

/** The crate that defines a function; for a generic one, not the crate that instantiates it. */
function findCrate(name) {
  if (/^__(wbindgen|wbg|externref)/.test(name)) return 'wasm_bindgen'
  // Exports are not mangled.
  if (!/^_ZN|^_R/.test(name)) return /^[a-z]+_[a-zA-Z]+_[0-9a-f]{16}$/.test(name) ? 'oauth_core_web' : 'others'
  return identifiers(name).find((identifier) => CRATES.includes(identifier)) ?? 'others'
}

/** The purpose of code by the function's name: the first pattern that matches. */
const CAUSES = [
  ['tokens kept fresh, tabs and stores', /^(keeper|turn|task)_|oauth_core::flow::keeper|oauth_facade::keeper|oauth_core::breaker/],
  ['requests to an API and its limits', /^(api|call)_|oauth_core::flow::resource|oauth_facade::(api|resource)|retry_after|challenge/],
  ['presets and stored servers', /^server_(fromPreset|toJson|fromJson)|checkSecret|oauth_facade::(preset|stored)|oauth_core::quirk/],
  ['metadata and discovery', /^server_|discover|oauth_core::(server|issuer)|endpoint::metadata|oauth_facade::server/],
  ['JSON', /oauth_core::json/],
  ['sign-in: URL, callback, code', /^(client|authorization)_|recognizes|checkReturn|flow::authorization|oauth_core::(pkce|client)|authorization_code|oauth_facade::client/],
  ['token requests and replies', /^(machine|step|tokens)_|oauth_core::(call|endpoint|grant|token|client_auth|crypto|jose|dpop|exchange|http)|oauth_facade::(machine|request|op|arg)/],
  ['errors', /Error$|oauth_core::error|oauth_facade::(record|doubles)|oauth_core_web::error/],
  ['URLs, forms, scopes, secrets', /oauth_core|oauth_facade/],
  ['between JavaScript and Rust', /wasm_bindgen|js_sys|oauth_core_web|^__/],
  ['memory', /dlmalloc|__rust|RawVec|raw_vec/],
]

function describeCause(name) {
  const symbolName = /^_ZN|^_R/.test(name) ? identifiers(name).join('::') : name.replace(/_[0-9a-f]{16}$/, '')
  return CAUSES.find(([, pattern]) => pattern.test(symbolName))?.[0] ?? "Rust's library"
}

/** `{ sections: {name: bytes}, causes: {name: bytes}, crates: {name: bytes}, functions: [[bytes, name]] }` */
export function breakdown(bytes) {
  const all = sections(bytes)
  const sizes = Object.fromEntries(all.map(({ name, size }) => [name, size]))
  const named = all.find((section) => section.name === 'custom name')
  // The output of wasm-bindgen has no names, so its functions cannot be listed.
  if (!named) return { sections: sizes }
  const names = functionNames(named.content)
  const imports = all.find((section) => section.id === IMPORT)
  let index = imports ? importedFunctions(imports.content) : 0
  const { content } = all.find((section) => section.id === CODE)
  const crates = {}
  const causes = {}
  const functions = []
  for (let remaining = content.number(); remaining > 0; remaining -= 1, index += 1) {
    const start = content.at
    content.part(content.number())
    const name = names.get(index) ?? ''
    // These describe the exports to wasm-bindgen, which removes them.
    if (/__wbindgen_describe|WasmDescribe/.test(name)) continue
    const size = content.at - start
    const crate = findCrate(name)
    crates[crate] = (crates[crate] ?? 0) + size
    const cause = describeCause(name)
    causes[cause] = (causes[cause] ?? 0) + size
    functions.push([size, name])
  }
  functions.sort(([a], [b]) => b - a)
  return { sections: sizes, crates, causes, functions }
}
