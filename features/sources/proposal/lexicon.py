"""What columns and files are called in English, German, French, Spanish and Chinese: words, by what they mean.

Words stand in lower case and without accents; names are brought into that form before they are compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from features.sources.rows.meaning import normalized

WORDS: Mapping[str, str] = {
    "customer": """customer customers client clients household households member members user users account accounts
        buyer cust guest patron subscriber subscribers uid kunde kunden kundin mitglied mitglieder mitglieds
        abonnent nutzer benutzer konto debitor teilnehmer cliente clientes socio socia socios abonado abonados
        usuario usuarios comprador miembro acheteur adherent adherents abonne abonnes utilisateur compte membre
        membres msisdn guests traveller patient patients student students pupil pupils policyholder insured tenant
        gast gaste gaeste gastes patienten schuler schueler studenten versicherter versicherte
        versicherungsnehmer mieter huesped huespedes alumno alumna alumnos alumnas estudiante estudiantes paciente
        pacientes asegurado asegurados tomador inquilino hote hotes voyageur eleve eleves etudiant etudiants assure
        assures souscripteur locataire 客户 用户 会员 顾客 买家 账户 客人 住客 宾客 学员 学生 患者 投保人 被保险人
        donor donors
        donator spender spenderin spendern donateur donateurs donante donantes 捐赠者 捐款人 捐赠人
        租户""",
    "order": """order orders invoice invoices basket transaction transactions receipt purchase purchases sale
        bestellung bestellungen bestell auftrag auftraege auftrage auftrags rechnung rechnungen rechnungs beleg
        belege bon kauf einkauf verkauf commande commandes facture factures achat achats vente ventes pedido pedidos
        compra compras factura facturas venta ventas orden recibo recibos
        booking bookings reservation reservations buchung
        buchungen buchungs reservierung reservierungen reservierungs reserva reservas reservacion reservaciones 订单
        交易 购买 消费 发票 下单 预订 预定 订房""",
    "id": """id ids no nr num number nummer numero ref reference code key kennung schluessel schlussel identifiant
        identificador clave codigo folio 编号 号码 号 代码 标识""",
    "date": """date dates datum tag time timestamp datetime zeit zeitpunkt zeitstempel jour heure fecha hora dia at
        on am dt ts 日期 时间 日""",
    "created": """created creation opened occurred erstellt angelegt eroeffnet eroffnet cree creacion creado creada
        apertura creee ouvert 创建 发生""",
    "amount": """amount total revenue sales sum net gross value price dollars spend spent paid bezahlt gezahlt
        pagado pagada paye payee cobrado 已付 turnover subtotal betrag summe gesamt umsatz netto brutto preis wert
        importe monto precio valor montant prix somme ttc ht 金额 总额 价格 总价 实付 销售额""",
    "unit": "unit einzel einzelpreis stuckpreis unitario unitaire 单价",
    "tax": "tax vat mwst steuer iva tva impuesto taxe 税",
    "shipping": "shipping delivery freight versand porto envio livraison 运费",
    "quantity": "quantity qty units items count menge anzahl stuck stueck cds cantidad unidades quantite 数量 件数",
    "channel": """channel store shop source branch filiale kanal laden canal tienda sucursal boutique magasin 渠道
        门店 店铺""",
    "category": """category department class kategorie warengruppe abteilung categoria familia categorie rayon 类别
        品类 分类""",
    "product": "product item sku article artikel produkt producto articulo produit 商品 产品",
    "discount": "discount rebate coupon reduction retaildisc rabatt nachlass descuento remise 折扣 优惠",
    "recorded": "recorded loaded inserted verbucht contabilizado comptabilise 录入 入库",
    "booked": "booked gebucht reserviert reservado reservada reserve reservee",
    "arrival": "arrival arrivals arrives checkin anreise ankunft llegada entrada arrivee 入住 抵达",
    "departure": "departure checkout abreise salida depart 离店 退房",
    "signup": """signup registered registration registriert registrierung joined join since enrolled enrollment
        firstseen anmeldung angemeldet anmelde beitritt beitritts eintritt eintritts seit alta inscripcion inscrito
        registro inscription inscrit adhesion depuis 注册 入会 入网 开户 加入""",
    "start": """start started starts begin begins beginn debut inicio comienzo desde activation activated from von
        ab 开始 起始 生效""",
    "end": """end ended ends ende expiry expires expired expiration until bis ablauf fin baja resiliation resilie
        resiliee termino vencimiento hasta caducidad echeance terminated termination austritt austritts through thru
        to zum final jusqu jusque jusquau finalizacion 结束 到期 终止 截止 至 注销 离网日期""",
    "cancel": """cancelled canceled cancel cancellation kundigung kundigungs gekundigt kuendigung kuendigungs
        gekuendigt storno storniert annule annulation cancelado cancelacion cancelar anulado anulacion kundigt 取消
        退订 解约""",
    "notice": "notice preaviso aviso preavis kundigungsmitteilung 通知 预告",
    "request": """request requested submitted eingegangen eingang beantragt antrag solicitud solicitada solicitado
        peticion demandee recu recue 申请 受理""",
    "minimum": """min minimum mindest mindestens minimo minima minimale permanencia lockin bindung bindefrist
        engagement 最低 最短""",
    "next": "next nachste nachster nachstes naechste naechster prochain prochaine proximo proxima 下次 下期",
    "renew": "renewal renews renew verlangerung verlaengerung verlangerungs renovacion renouvellement 续费 续约",
    "contract": """subscription subscriptions contract contracts membership memberships policy policies abo abos
        abonnement abonnements vertrag vertraege vertrage vertrags mitgliedschaft mitgliedschaften police contrato
        contratos suscripcion suscripciones membresia membresias poliza contrat contrats 合同 订阅""",
    "period": "period periods periode zeitraum periodo term laufzeit duracion plazo duree 周期 期限",
    "trial": "trial trials testphase probezeit probe probemonat probeabo essai 试用",
    "pause": """pause paused pauses pausiert pausierung pausen ruhend ruhezeit stillgelegt stilllegung unterbrechung
        freeze frozen freezes hold suspended suspension pausa pausas pausado pausada suspendido suspendida congelado
        congelada congelacion suspendu suspendue interruption gel 暂停 冻结 停机 休会""",
    "resume": "resume resumes resumed reprise wiederaufnahme reanudacion reanudado reanuda reactivacion 恢复 复机",
    "change": "change changes changed anderung anderungen aenderung cambio cambios changement changements 变更",
    "attribute": "attribute attributes field merkmal feld atributo campo attribut champ 属性 字段",
    "plan": "plan package tariff tier tarif paket paquete tarifa forfait formule offre 套餐 资费",
    "month": "month monthly monat monats monatlich monatlicher mes mensual mensuel mensuelle mois 每月 月",
    "price_month": "mrr monthlyrate monatsbeitrag monatspreis mensualite mensualidad monthlycharges 月费 月租 月租费",
    "fee": "fee fees charge charges beitrag beitrage gebuhr gebuehr grundgebuhr cuota cotisation 费用",
    "interaction": """interaction interactions event events ticket tickets call calls case cases visit visits login
        logins session sessions support complaint complaints anfrage anfragen anruf anrufe besuch besuche vorgang
        vorgange interaccion interacciones llamada llamadas visita visitas incidencia incidencias consulta consultas
        queja quejas appel appels visite visites demande demandes reclamation attendance
        attendances presence presences anwesenheit anwesenheiten anwesenheits asistencia asistencias evenement
        evenements evento eventos ereignis ereignisse 出勤 签到 考勤 工单 事件 来电 通话 访问 投诉 互动""",
    "kind": "type kind eventtype reason art typ grund anlass tipo motivo motif raison 类型 种类 原因",
    "score": "score rating answer nps csat bewertung punktzahl puntuacion calificacion 评分 得分 满意度",
    "mailing": """contact contacts mailing mailings message messages newsletter newsletters aussendung aussendungen
        kontakt kontakte envios envoi envois 邮件 短信""",
    "sent": "sent gesendet versendet verschickt enviado enviada envoye 发送",
    "campaign": "campaign campaigns offer kampagne kampagnen aktion campana campanas campagne campagnes 活动 营销",
    "arm": "arm group variant treatment gruppe variante grupo groupe 分组 实验组",
    "cost": "cost costs kosten coste costo cout 成本",
    "redeem": """redemption redeemed converted conversion used eingelost eingeloest einlosung einloesung verwendet
        verwendung genutzt canje canjeado usado usada uso utilise utilisee utilisation 兑换 核销 使用""",
    "label": """churn churned churner exited attrition attrited left leaver abgewandert abwanderung abwanderer
        abandono fuga desercion 流失 离网 是否流失""",
    "flag": "flag is indicator kennzeichen indicador 是否 标志",
    "export": "export exported 导出",
    "status": "status state zustand estado estatus etat statut 状态",
    "currency": "currency wahrung waehrung moneda divisa devise monnaie ccy 币种 货币",
    "financial": """financial payment payments billing abrechnung fulfillment zahlung zahlungs zahlungen pago pagos
        paiement paiements 付款 支付 缴费 收款""",
    "test": "test dummy sandbox prueba 测试",
    "refund": "refund refunded refunds erstattung erstattet reembolso rembourse remboursement 退款",
    "cents": "cents cent centimes centimos minor 分",
    "name": "name names title nombre nom 名称 姓名",
    "sex": "sex gender geschlecht sexo genero sexe anrede civilite salutation 性别",
    "age": "age ages alter alters edad 年龄 senior",
    "birth": """birth birthday birthdate birthyear dob geburt geburts geburtstag jahrgang nacimiento naissance 出生
        生日""",
    "nationality": """nationality citizenship nationalitat nationalitaet staatsangehorigkeit staatsangehoerigkeit
        staatsburgerschaft nacionalidad nationalite 国籍""",
    "marital": "marital married familienstand zivilstand estadocivil etatcivil matrimonial 婚姻 婚姻状况",
    "income": "income einkommen gehalt ingresos salario salaire salary revenus 收入",
    "ethnic": "ethnic ethnicity race hautfarbe raza etnia ethnie 民族",
    "religion": "religion konfession religiosa 宗教",
    "disability": "disability disabled behinderung discapacidad handicap 残疾",
    "health": "health pregnant diagnosis gesundheit schwanger salud sante 健康",
    "orientation": "orientation sexuality orientierung",
    "city": """city country region land ort stadt pays ville ciudad pais provincia postal postcode postalcode zip
        zipcode plz postleitzahl postleitzahlen cp 城市 国家 地区 省份 邮编 邮政编码 邮政""",
    "filler": """the of de la le du des da del der die das by per pro par por 的 in en au aux al a given effective
        gultig valid""",
}
SENSITIVE = (
    "sex", "age", "birth", "nationality", "marital", "income", "ethnic", "religion", "disability", "health",
    "orientation",
)  # fmt: skip
WOMEN = "f w female frau weiblich femme mujer feminin femenino 女"
MEN = "m male mann herr mannlich homme hombre masculin masculino 男"
ANY_SEX = f"{WOMEN} {MEN} d x h other divers diverse unknown unbekannt 未知"
STATUSES: Mapping[str, str] = {  # states of a contract that have a meaning here, and what they are called
    "active": "aktiv activo activa vigente actif 有效 正常 在网",
    "cancelled": "gekundigt gekuendigt beendet baja resilie inactivo inactif terminado 已退订 注销 离网",
    "paused": "pausiert ruhend suspendido suspendu 暂停",
    "trial": "probezeit testphase prueba essai 试用",
    "expired": "abgelaufen vencido expire 过期 到期",
}
KINDS: Mapping[str, str] = {  # kinds of interaction that features read, and what they are called
    "complaint": "complaint complaints complain beschwerde reklamation queja reclamacion reclamo plainte 投诉",
    "ticket": "ticket support request anfrage incidencia consulta demande incident 工单 咨询",
    "visit": """visit besuch visita visite attendance attended presence present anwesend anwesenheit asistencia asistio
        访问 到店 出勤 签到""",
    "login": "login signin anmeldung acceso connexion 登录",
    "payment_failed": "paymentfailed zahlungsausfall rucklastschrift impago impaye 欠费 扣款失败",
    "survey": "survey umfrage encuesta sondage enquete 问卷 调查",
}
MAY_BE_NOTICE = "resiliation resilie resiliee baja termination terminated 终止 注销"  # an end, or the notice beside one
DIRECTIONS = frozenset({"from", "to", "von", "ab", "zum"})  # a start or an end; but beside `TO_WHOM`, a party
TO_WHOM = """ship ships shipped shipping sold sell sale bill billed billing invoice invoiced deliver delivered delivery
    send sent assign assigned report reports reported transfer transferred versand versandt verkauft geliefert lieferung
    rechnung"""
LEAST_PART = 4  # letters of a part of a compound, so that `package` holds no `age`
SHORT_ENDINGS = ("id", "nr", "no", "art", "typ")
NUMBER_SIGN = re.compile(r"(?<![^\W_])[nN]\.?\s*[°º]")  # N° contrat, N.º de socio
LINKS = ("s", "n", "es", "en")


def _concepts() -> dict[str, str]:
    return {word: concept for concept, words in WORDS.items() for word in words.split()}


CONCEPT_OF: Mapping[str, str] = _concepts()
_LONGEST_FIRST = sorted((w for w in CONCEPT_OF if not w.isascii()), key=len, reverse=True)


@dataclass(frozen=True)
class Meaning:
    """What a name says: its concepts, and whether it also holds words that are not known."""

    concepts: frozenset[str]
    is_complete: bool


@lru_cache(maxsize=4096)
def meaning(name: str) -> Meaning:
    """Read a name in any of the languages.

    >>> sorted(meaning("Bestelldatum").concepts), sorted(meaning("客户编号").concepts)
    (['date', 'order'], ['customer', 'id'])
    >>> sorted(meaning("N° paiement").concepts), sorted(meaning("N.º de socio").concepts)
    (['financial', 'id'], ['customer', 'id'])
    >>> meaning("package").concepts, meaning("usage_tier").concepts & {"age"}
    (frozenset({'plan'}), frozenset())
    >>> [sorted(meaning(name).concepts) for name in ("valid_to", "Vertrag ab", "ship_to", "sold_to_id")]
    [['end'], ['contract', 'start'], [], ['id']]
    """
    name = NUMBER_SIGN.sub("no ", name)
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", unicodedata.normalize("NFKC", name))
    words = re.findall(r"[^\W\d_]+", normalized(spaced))
    said: list[tuple[str, tuple[str, ...]]] = []
    while words:
        pair = "".join(words[:2])
        if len(words) > 1 and pair in CONCEPT_OF:
            said.append((pair, (CONCEPT_OF[pair],)))
            words = words[2:]
            continue
        word = words.pop(0)
        said.append((word, _word(word)))
    plain = [(word, concepts) for word, concepts in said if concepts != ("filler",)]
    found = [() if _is_lost(plain, place) else concepts for place, (_, concepts) in enumerate(plain)]
    return Meaning(frozenset(c for concepts in found for c in concepts) - {"filler"}, all(found) and bool(said))


def _is_lost(said: list[tuple[str, tuple[str, ...]]], place: int) -> bool:
    """True for a direction that says no time: `to` in ``ship_to``."""
    if said[place][0] not in DIRECTIONS or len(said) == 1:
        return False
    beside = said[max(place - 1, 0) : place] + said[place + 1 : place + 2]
    return any(word in TO_WHOM.split() for word, _ in beside)


def _word(word: str) -> tuple[str, ...]:
    """Concepts of one word; empty if it is not known, or not known in all its parts."""
    if word in CONCEPT_OF:
        return (CONCEPT_OF[word],)
    if not word.isascii() and (parts := _unspaced(word)):
        return parts
    for end in range(len(word) - 1, LEAST_PART - 1, -1):
        head, rest = word[:end], word[end:]
        if head not in CONCEPT_OF:
            continue
        for link in ("", *LINKS):
            tail = rest[len(link) :]
            if not rest.startswith(link) or not tail:
                continue
            if len(tail) < LEAST_PART and tail not in SHORT_ENDINGS:
                continue
            if following := _word(tail):
                return (CONCEPT_OF[head], *following)
    return ()


def _unspaced(word: str) -> tuple[str, ...]:
    """Concepts in a text of a script that puts no spaces between words; what is not known is passed over."""
    concepts: list[str] = []
    while word:
        first = next((w for w in _LONGEST_FIRST if word.startswith(w)), None)
        if first:
            concepts.append(CONCEPT_OF[first])
        word = word[len(first or " ") :]
    return tuple(concepts)
