"""The real Azure SDK for Python against a running `skerry dev`: a key is made, used, released to a simulated TEE, and deleted.

The environment is that of dev.env. Ends with 'real client: ok, N checks', or with the check that failed.
"""
import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import uuid

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.keys import KeyClient, KeyReleasePolicy
from azure.keyvault.keys._shared import http_challenge_cache
from azure.keyvault.keys.crypto import CryptographyClient, SignatureAlgorithm
from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

VAULT, CA = os.environ["SKR_VAULT_URL"], os.environ["SKR_CA_FILE"]
checks = 0


class Credential:
    def get_token(self, *scopes, **kwargs):
        return AccessToken(os.environ["SKR_TOKEN"], int(time.time()) + 3600)


def check(holds, what):
    global checks
    assert holds, what
    checks += 1
    print(f"  {what}")


def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def refused(call, status):
    try:
        call()
    except HttpResponseError as error:
        return error.status_code == status
    return False


def attest(tee):
    """What code in a TEE does: has a report over its own key attested."""
    numbers = tee.public_key().public_numbers()
    octets = lambda number: number.to_bytes((number.bit_length() + 7) // 8, "big")
    jwk = {"kty": "RSA", "kid": "tee", "key_ops": ["encrypt"], "n": b64(octets(numbers.n)), "e": b64(octets(numbers.e))}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as runtime_data:
        json.dump({"keys": [jwk]}, runtime_data)
        runtime_data.flush()
        command = f"{os.environ['SKR_TEE_SIM']} {runtime_data.name}"
        done = subprocess.run(command, shell=True, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def opened(jws, tee):
    """Checks the answer's signature and chain, and unwraps the key as RFC 5649 has it."""
    header, payload, signature = jws.split(".")
    chain = [x509.load_der_x509_certificate(base64.b64decode(der)) for der in json.loads(unb64(header))["x5c"]]
    for child, parent in zip(chain, chain[1:]):
        child.verify_directly_issued_by(parent)
    signed = f"{header}.{payload}".encode()
    chain[0].public_key().verify(unb64(signature), signed, padding.PKCS1v15(), hashes.SHA256())
    body = json.loads(unb64(payload))
    key_hsm = json.loads(unb64(body["response"]["key"]["key"]["key_hsm"]))
    wrapped, size = unb64(key_hsm["ciphertext"]), tee.key_size // 8
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    return body, keywrap.aes_key_unwrap_with_padding(tee.decrypt(wrapped[:size], oaep), wrapped[size:])


class Misled(RequestsTransport):
    """Makes challenges ask for a token for Azure's own vaults."""

    def send(self, request, **kwargs):
        response = super().send(request, **kwargs)
        challenge = response.headers.get("WWW-Authenticate", "")
        response.headers["WWW-Authenticate"] = re.sub('resource="[^"]*"', 'resource="https://vault.azure.net"', challenge)
        return response


def challenges():
    """The SDK's own check of challenges, which is on unless it is switched off: the resource is a domain of the host."""
    resolve = socket.getaddrinfo
    socket.getaddrinfo = lambda host, *rest, **more: resolve("127.0.0.1" if host.endswith(".localhost") else host, *rest, **more)
    host = f"https://dev.vault.localhost:{VAULT.rsplit(':', 1)[1]}"
    asked = lambda url, **more: list(KeyClient(url, Credential(), connection_verify=CA, retry_total=0, **more).list_properties_of_keys())
    http_challenge_cache.clear()
    check(asked(host) is not None, "a vault with a name passes the SDK's check of its challenge")
    for url, more, what in [
        (host, {"transport": Misled(connection_verify=CA)}, "a challenge for Azure's vaults does not"),
        (VAULT, {}, "nor does a vault without a name"),
    ]:
        http_challenge_cache.clear()
        try:
            asked(url, **more)
            check(False, what)
        except ValueError as error:
            check("does not match the requested domain" in str(error), what)
    http_challenge_cache.clear()
    socket.getaddrinfo = resolve


def main():
    options = {"verify_challenge_resource": False, "connection_verify": CA, "retry_total": 0}
    client, name = KeyClient(VAULT, Credential(), **options), f"real-{uuid.uuid4().hex[:8]}"
    tee = rsa.generate_private_key(65537, 2048)
    token = attest(tee)
    claims = json.loads(unb64(token.split(".")[1]))
    check(claims["iss"] == os.environ["SKR_ATTEST_URL"], "a simulated TEE has a token of the attestation service")

    measured = {"claim": "x-ms-sevsnpvm-launchmeasurement", "equals": claims["x-ms-sevsnpvm-launchmeasurement"]}
    policy = {"version": "1.0.0", "anyOf": [{"authority": claims["iss"], "allOf": [measured]}]}
    released_under = lambda document: KeyReleasePolicy(json.dumps(document).encode())
    make = {"hardware_protected": True, "exportable": True}
    key = client.create_rsa_key(name, size=2048, release_policy=released_under(policy), **make)
    check(key.id.startswith(f"{VAULT}/keys/{name}/") and key.properties.exportable, "an exportable key is made")
    check(client.get_key(name).key.n == key.key.n, "it is found by its name")

    digest = hashlib.sha256(b"text").digest()
    crypto = CryptographyClient(key.id, Credential(), **options)
    crypto._initialized = True  # else the SDK verifies by itself
    signature = crypto.sign(SignatureAlgorithm.rs256, digest).signature
    numbers = rsa.RSAPublicNumbers(int.from_bytes(key.key.e, "big"), int.from_bytes(key.key.n, "big"))
    numbers.public_key().verify(signature, digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
    check(crypto.verify(SignatureAlgorithm.rs256, digest, signature).is_valid, "it signs, and its signature verifies")

    released = client.release_key(name, token, algorithm="RSA_AES_KEY_WRAP_256", nonce="a-nonce")
    body, plain = opened(released.value, tee)
    private = serialization.load_der_private_key(plain, None)
    check(private.public_key().public_numbers() == numbers, "it is released, wrapped to the TEE's key")
    check(body["request"]["nonce"] == "a-nonce", "the answer is signed and repeats the nonce")

    other = {"version": "1.0.0", "anyOf": [{"authority": claims["iss"], "allOf": [{**measured, "equals": "00" * 48}]}]}
    client.update_key_properties(name, release_policy=released_under(other))
    check(refused(lambda: client.release_key(name, token), 403), "under another policy it is not")
    check(refused(lambda: client.release_key(name, token[:-8] + "AAAAAAAA"), 403), "nor for a token that was changed")

    check(name in [item.name for item in client.list_properties_of_keys()], "it is in the list")
    client.begin_delete_key(name, _polling_interval=0.1).wait()
    try:
        client.get_key(name)
        check(False, "a deleted key is gone")
    except ResourceNotFoundError:
        check(client.get_deleted_key(name).id == key.id, "deleted, it is gone, and can be found among the deleted")
    client.purge_deleted_key(name)
    check(refused(lambda: client.get_deleted_key(name), 404), "purged, it is gone for good")
    challenges()
    print(f"real client: ok, {checks} checks")


if __name__ == "__main__":
    main()
