"""The real Azure SDK for Python against a running `skerry dev`: keys that come wrapped, what is stated of them, and keys that
only TEEs see.

The environment is that of dev.env. Ends with 'real client: ok, N checks', or with the check that failed.
"""
import hashlib
import json
import os
import uuid

import requests
from azure.keyvault.keys import JsonWebKey, KeyClient, KeyReleasePolicy
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm, SignatureAlgorithm
from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

import release
from release import CA, Credential, VAULT, attest, b64, check, refused, unb64

HSM, OPTIONS = os.environ["SKR_HSM_URL"], {"verify_challenge_resource": False, "connection_verify": CA, "retry_total": 0}


def oaep(hash):
    return padding.OAEP(padding.MGF1(hash()), hash(), None)


def pkcs8(key):
    return key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def blob(kek, octets):
    """What a tool for BYOK makes: the key wrapped to a key of the vault, in Azure's envelope."""
    numbers = rsa.RSAPublicNumbers(int.from_bytes(kek.key.e, "big"), int.from_bytes(kek.key.n, "big"))
    k = os.urandom(32)
    wrapped = numbers.public_key().encrypt(k, oaep(hashes.SHA1)) + keywrap.aes_key_wrap_with_padding(k, octets)
    header = {"kid": kek.id, "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP"}
    whole = {"schema_version": "1.0.0", "header": header, "ciphertext": b64(wrapped), "generator": "a tool"}
    return json.dumps(whole).encode()


def post(url, body):
    headers = {"Authorization": "Bearer " + os.environ["SKR_TOKEN"]}
    answer = requests.post(url + "?api-version=2026-05-01-preview", json=body, headers=headers, verify=CA)
    return answer.status_code, answer.json()


def wrapped_keys(vault):
    client, name = KeyClient(vault, Credential(), **OPTIONS), f"real-{uuid.uuid4().hex[:8]}"
    kek = client.create_rsa_key(f"{name}-kek", hardware_protected=True, key_operations=["import"])
    check(kek.key_operations == ["import"], "a key is made that takes others in")
    bring = lambda suffix, **jwk: client.import_key(f"{name}-{suffix}", JsonWebKey(**jwk), hardware_protected=True)

    mine = rsa.generate_private_key(65537, 2048)
    key = bring("rsa", kty="RSA-HSM", t=blob(kek, pkcs8(mine)))
    crypto = CryptographyClient(key.id, Credential(), **OPTIONS)
    signature = crypto.sign(SignatureAlgorithm.rs256, hashlib.sha256(b"text").digest()).signature
    mine.public_key().verify(signature, b"text", padding.PKCS1v15(), hashes.SHA256())
    check(True, "an RSA key comes wrapped, and signs as it did")
    curve = ec.generate_private_key(ec.SECP384R1())
    key = bring("ec", kty="EC-HSM", crv="P-384", t=blob(kek, pkcs8(curve)))
    check(int.from_bytes(key.key.x, "big") == curve.public_key().public_numbers().x, "so does an EC key")
    key = bring("oct", kty="oct-HSM", t=blob(kek, bytes(range(32))))
    crypto = CryptographyClient(key.id, Credential(), **OPTIONS)
    crypto._initialized = True  # else the SDK makes up a key of its own and wraps under that
    wrapped = crypto.wrap_key(KeyWrapAlgorithm.aes_256, b"k" * 32)
    check(wrapped.encrypted_key == keywrap.aes_key_wrap(bytes(range(32)), b"k" * 32), "and a symmetric one")
    bad = bytearray(blob(kek, bytes(32)).replace(b"ciphertext\": \"", b"ciphertext\": \"AAAA"))
    check(refused(lambda: bring("bad", kty="oct-HSM", t=bytes(bad)), 400), "what does not open is refused")

    stated = client.get_key_attestation(f"{name}-rsa").properties.attestation
    leaf = x509.load_pem_x509_certificates(bytes(stated.certificate_pem_file))[0]
    header, payload, signature = bytes(stated.private_key_attestation).decode().split(".")
    signed = f"{header}.{payload}".encode()
    leaf.public_key().verify(unb64(signature), signed, padding.PKCS1v15(), hashes.SHA256())
    claims = json.loads(unb64(payload))
    check((claims["custody"], claims["origin"]) == ("software", "imported"), "it is stated that software holds it")

    octets = b"octets as they are"
    status, answer = post(f"{vault}/keys/{name}-rsa/sign", {"alg": "RSNULL", "value": b64(octets)})
    numbers = mine.public_key().public_numbers()
    padded = pow(int.from_bytes(unb64(answer["value"]), "big"), numbers.e, numbers.n).to_bytes(256, "big")
    check(status == 200 and padded == b"\0\1".ljust(255 - len(octets), b"\xff") + b"\0" + octets, "RSNULL signs octets")
    for suffix in ["kek", "rsa", "ec", "oct"]:
        client.begin_delete_key(f"{name}-{suffix}", _polling_interval=0.1).wait()
        client.purge_deleted_key(f"{name}-{suffix}")


def keys_for_tees():
    client, name = KeyClient(HSM, Credential(), **OPTIONS), f"real-{uuid.uuid4().hex[:8]}"
    tee = rsa.generate_private_key(65537, 2048)
    token = attest(tee)
    claims = json.loads(unb64(token.split(".")[1]))
    measured = {"claim": "x-ms-sevsnpvm-launchmeasurement", "equals": claims["x-ms-sevsnpvm-launchmeasurement"]}
    policy = {"version": "1.0.0", "anyOf": [{"authority": claims["iss"], "allOf": [measured]}]}
    key = client.create_rsa_key(
        name,
        hardware_protected=True,
        key_operations=["secureWrapKey", "secureUnwrapKey"],
        release_policy=KeyReleasePolicy(json.dumps(policy).encode()),
    )
    check(not key.properties.exportable, "a key that stays has a policy, and wraps for TEEs")
    status, wrapped = post(f"{HSM}/keys/{name}//securewrapkey", {"alg": "RSA-OAEP-256"})
    check(status == 200 and wrapped["kid"] == key.id, "a fresh key is given wrapped")
    ask = {"alg": wrapped["alg"], "value": wrapped["value"], "target": token}
    status, answer = post(f"{HSM}/keys/{name}//secureunwrapkey", ask)
    envelope = json.loads(unb64(answer["value"]))
    ciphertext = unb64(envelope["ciphertext"])
    plain = keywrap.aes_key_unwrap_with_padding(tee.decrypt(ciphertext[:256], oaep(hashes.SHA256)), ciphertext[256:])
    check((status, len(plain)) == (200, 32), "it is unwrapped to the TEE that attests itself")
    status, _ = post(f"{HSM}/keys/{name}//secureunwrapkey", {**ask, "target": token[:-8] + "AAAAAAAA"})
    check(status == 403, "not for a token that was changed")
    status, _ = post(f"{HSM}/keys/{name}//unwrapkey", {"alg": wrapped["alg"], "value": wrapped["value"]})
    check(status == 403, "and not by a plain unwrap")
    client.begin_delete_key(name, _polling_interval=0.1).wait()
    client.purge_deleted_key(name)


def main():
    for vault in [VAULT, HSM]:
        wrapped_keys(vault)
    keys_for_tees()
    print(f"real client: ok, {release.checks} checks")


if __name__ == "__main__":
    main()
