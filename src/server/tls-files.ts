import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, type TlsOptions } from 'node:tls'
import { MillraceError } from '../model/errors.ts'
import type { Configuration } from './config/settings.ts'
import type { Logger } from './log.ts'

/** A certificate that ends so soon is worth a warning at the start. Milliseconds. */
const SOON = 14 * 24 * 60 * 60 * 1_000

type TlsSettings = Pick<Configuration, 'tlsCert' | 'tlsKey' | 'tlsCa' | 'httpTls' | 'limitsHandshakeTimeout'>

/** What TLS listeners need, or undefined when none is configured. Throws `argument-invalid`. */
export function readTls(settings: TlsSettings, logger: Logger, now: number): TlsOptions | undefined {
  const { tlsCert, tlsKey, tlsCa } = settings
  if (tlsCert === undefined && tlsKey === undefined) {
    if (tlsCa !== undefined || settings.httpTls)
      throw wrong(
        `${tlsCa === undefined ? 'http.tls' : 'tls.ca'} needs tls.cert and tls.key; name both files`,
      )
    return undefined
  }
  if (tlsCert === undefined || tlsKey === undefined)
    throw wrong(`tls.cert and tls.key belong together; ${tlsCert ? 'tls.key' : 'tls.cert'} is missing`)
  const cert = readPem('tls.cert', tlsCert)
  const key = readPem('tls.key', tlsKey)
  const ca = tlsCa === undefined ? undefined : readPem('tls.ca', tlsCa)
  const options: TlsOptions = {
    cert,
    key,
    minVersion: 'TLSv1.2',
    handshakeTimeout: settings.limitsHandshakeTimeout,
  }
  try {
    createSecureContext({ cert, key, ca })
    warnOfExpiry(new X509Certificate(cert), tlsCert, logger, now)
  } catch (cause) {
    throw wrong(
      `${tlsCert} and ${tlsKey} are not a certificate and its private key in PEM: ${(cause as Error).message}`,
      cause,
    )
  }
  return ca === undefined ? options : { ...options, ca, requestCert: true, rejectUnauthorized: true }
}

function readPem(setting: string, file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw wrong(`cannot read the file of ${setting}: ${(cause as Error).message}`, cause)
  }
}

function warnOfExpiry(certificate: X509Certificate, file: string, logger: Logger, now: number): void {
  const end = certificate.validToDate.getTime()
  if (end - now > SOON) return
  const facts = { event: 'certificate-expires', file, validTo: certificate.validToDate.toISOString() }
  logger.warn(
    facts,
    end < now ? 'the certificate has expired; clients will refuse it' : 'the certificate expires',
  )
}

function wrong(message: string, cause?: unknown): MillraceError {
  return new MillraceError('argument-invalid', message, { cause })
}
