// Sends requests to a server of the process that started this one, whose CPU time is measured: over one connection, each
// once the response to the one before has arrived.
import { connect } from 'node:net'

process.on('message', ({ port, text, end, count }) => {
  const socket = connect(port, '127.0.0.1').setNoDelay(true).setEncoding('latin1')
  let [sent, received] = [0, '']
  const next = () => {
    if (sent === count) {
      socket.end()
      process.send('done')
      return
    }
    sent += 1
    received = ''
    socket.write(text)
  }
  socket.on('connect', next)
  socket.on('data', (chunk) => {
    received += chunk
    if (received.endsWith(end)) next()
  })
})
